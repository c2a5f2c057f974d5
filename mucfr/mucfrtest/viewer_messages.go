// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"fmt"
	"maps"

	"github.com/xmppext/xmppext/mucfr"
)

// messages are those that a client has got.
type messages struct {
	have     map[int]int
	glimpsed map[int]bool // it has got before the answer
	from     int          // messages before that were said before it first came
	excused  int          // it was told that messages before that may be missing
	checked  int
	subject  string

	reset   bool // in the answer, which may go on with the notice
	noticed bool // that messages are missing, in this answer
	answer  bool // it waits for the end of one
	doubled bool // it may get messages again in this answer
	repeats bool // it may in the next one
}

func (m *messages) clone() messages {
	c := *m
	c.have, c.glimpsed = maps.Clone(m.have), maps.Clone(m.glimpsed)
	// What has come since comes again.
	return c
}

// begin begins to wait for an answer.
func (m *messages) begin(resume, sure bool, said int) {
	if !resume {
		*m = messages{have: make(map[int]int), glimpsed: make(map[int]bool), from: said, subject: m.subject}
	}
	// Of an answer that was cut off it is not known what the room knows, or the client may
	// not know that it was the answer.
	m.doubled = m.repeats || m.reset || m.answer && !sure
	m.repeats = m.doubled
	m.reset, m.noticed, m.answer = false, false, true
}

// message takes one in.
func (m *messages) message(s *received, said int) error {
	switch n := 0; {
	case len(s.Mark) == 1 && s.Mark[0].Type == mucfr.Truncated:
		if s.From.Resourcepart() != "" || s.Body != nil || s.Mark[0].ID != "" {
			return fmt.Errorf("a notice of missing messages that is more than that")
		}
		if m.noticed {
			return fmt.Errorf("a second notice of missing messages")
		}
		m.excused, m.noticed = said, true
		m.doubled = m.doubled || m.reset
	case s.Body != nil:
		if _, err := fmt.Sscanf(*s.Body, "message %d", &n); err != nil {
			return err
		}
		if m.have[n]++; m.have[n] > 1 && !m.doubled {
			return fmt.Errorf("message %d came again", n)
		}
	case s.Subject != nil:
		m.subject = *s.Subject
		if m.answer {
			m.reset, m.doubled, m.repeats, m.answer = false, false, false, false
		}
	}
	return nil
}

// glimpse takes one in that comes before the answer, and may come again with it.
func (m *messages) glimpse(s *received, said int) error {
	switch n := 0; {
	case s.XMLName.Local == "presence":
		m.repeats = m.repeats || s.Type == "unavailable" && s.From.Resourcepart() == ""
	case len(s.Mark) == 1 && s.Mark[0].Type == mucfr.Truncated:
		m.excused = said
	case s.Body != nil:
		if _, err := fmt.Sscanf(*s.Body, "message %d", &n); err != nil {
			return err
		}
		if m.glimpsed == nil {
			m.glimpsed = make(map[int]bool)
		}
		m.glimpsed[n] = true
	}
	return nil
}

// complete looks whether there are all messages, or it is known that there are not.
func (m *messages) complete(said int) error {
	for m.checked = max(m.checked, m.from); m.checked < said; m.checked++ {
		if n := m.checked; m.have[n] == 0 && !m.glimpsed[n] && n >= m.excused {
			return fmt.Errorf("message %d is missing, and it does not know", n)
		}
	}
	return nil
}
