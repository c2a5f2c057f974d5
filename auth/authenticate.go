// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

// stamp is how times are written (XEP-0082).
const stamp = "2006-01-02T15:04:05Z"

// authenticate is what a client asks for in SASL2.
type authenticate struct {
	initial *element
	agent   UserAgent
	fast    *fastRequest
	inline  []*element // in the order of Server.Inline; nil if not asked for
}

// read reads an authenticate element.
func (v *serving) read(e element) (*authenticate, error) {
	a := &authenticate{inline: make([]*element, len(v.server.Inline))}
	seen := make(map[xml.Name]bool)
	for _, c := range e.children() {
		name := c.start.Name
		i := slices.IndexFunc(v.server.Inline, func(i Inline) bool { return i.Name() == name })
		known := i >= 0 || name.Space == NSSASL2 || name.Space == NSFAST
		if known && seen[name] {
			return nil, errMalformed
		}
		seen[name] = true
		switch {
		case i >= 0:
			a.inline[i] = &c
		case c.is(NSSASL2, "initial-response"):
			a.initial = &c
		case c.is(NSSASL2, "user-agent"):
			agent, err := readAgent(c)
			if err != nil {
				return nil, err
			}
			a.agent = agent
		}
	}
	var err error
	a.fast, err = readFast(e)
	return a, err
}

func readAgent(e element) (UserAgent, error) {
	var a UserAgent
	a.ID, _ = e.attr("id")
	if a.ID != "" && !uuid4.MatchString(a.ID) {
		return a, errMalformed
	}
	a.ID = strings.ToLower(a.ID)
	for _, c := range e.children() {
		text, _ := c.text()
		if len(text) > maxAgent {
			return a, errMalformed
		}
		switch {
		case c.is(NSSASL2, "software"):
			a.Software = text
		case c.is(NSSASL2, "device"):
			a.Device = text
		}
	}
	return a, nil
}

// succeed does what comes behind the mechanism: tasks, what rides along, and the
// answer.
func (v *serving) succeed(x *exchange, request *authenticate, data []byte, l *Login) (xmpp.SessionState, error) {
	var more []xml.TokenReader // children of success
	if v.server.Tasks != nil && x.fast.used.IsZero() {
		reply, err := v.tasks(x, &data)
		if err != nil {
			return 0, err
		}
		more = append(more, reply)
	}
	if err := x.forget(); err != nil {
		return 0, v.refuse(x, err)
	}
	if err := v.pin(x.account); err != nil {
		return 0, err
	}
	l.Account = x.account
	replies, bound, err := v.inline(x, request)
	if err != nil {
		return 0, err
	}
	l.Bound = bound
	more = append(more, replies...)
	if t := x.issue(v.tokens); !t.IsZero() {
		more = append(more, xmlstream.Wrap(nil, xml.StartElement{
			Name: xml.Name{Space: NSFAST, Local: "token"},
			Attr: []xml.Attr{
				{Name: xml.Name{Local: "expiry"}, Value: t.Expires.UTC().Format(stamp)},
				{Name: xml.Name{Local: "token"}, Value: string(t.Secret)},
			},
		}))
	}
	address := bound
	if address.Equal(jid.JID{}) {
		address = x.account
	}
	var b bytes.Buffer
	b.WriteString("<success xmlns='" + NSSASL2 + "'>")
	if data != nil {
		write(&b, "additional-data", "", base64.StdEncoding.EncodeToString(data))
	}
	write(&b, "authorization-identifier", "", quote(address.String()))
	resumed := false
	for _, r := range more {
		if err := copyTo(&b, watched(r, &resumed)); err != nil {
			return 0, fmt.Errorf("auth: an inline feature: %w", err)
		}
	}
	b.WriteString("</success>")
	if bound.Equal(jid.JID{}) {
		return xmpp.Authn, v.send(b.Bytes())
	}
	if !resumed {
		if err := v.announce(&b); err != nil {
			return 0, err
		}
	}
	return xmpp.Authn | xmpp.Ready, v.send(b.Bytes())
}

// watched notes whether the reader's element is a resumed stream's, behind which
// no features are sent (XEP-0198, section 8).
func watched(r xml.TokenReader, resumed *bool) xml.TokenReader {
	if r == nil {
		return nil
	}
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		tok, err := r.Token()
		if start, ok := tok.(xml.StartElement); ok && start.Name == (xml.Name{Space: nsSM, Local: "resumed"}) {
			*resumed = true
		}
		return tok, err
	})
}

// inline negotiates what rides along.
func (v *serving) inline(x *exchange, request *authenticate) ([]xml.TokenReader, jid.JID, error) {
	var (
		replies []xml.TokenReader
		bound   jid.JID
	)
	for i, f := range v.server.Inline {
		e := request.inline[i]
		if e == nil {
			continue
		}
		reply, now, err := f.Negotiate(v.ctx, v.session, x.client, bound, e.decoder(), e.start)
		if err != nil {
			if !errors.As(err, new(stream.Error)) {
				err = fmt.Errorf("%w: %w", err, stream.InternalServerError)
			}
			return nil, jid.JID{}, fmt.Errorf("auth: inline %s: %w", e.start.Name.Local, err)
		}
		if reply != nil {
			replies = append(replies, reply)
		}
		if now.Equal(jid.JID{}) {
			continue
		}
		if !now.Bare().Equal(x.account) || now.Resourcepart() == "" {
			return nil, jid.JID{}, fmt.Errorf("auth: inline %s bound what is no full JID of the account: %w", e.start.Name.Local, stream.InternalServerError)
		}
		bound = now
	}
	return replies, bound, nil
}

// announce writes the features behind a bind.
func (v *serving) announce(b *bytes.Buffer) error {
	b.WriteString("<stream:features>")
	if v.server.Announce != nil {
		state := v.session.State() | xmpp.Authn
		e := xml.NewEncoder(b)
		for _, f := range v.server.Announce(v.session) {
			if f.List == nil || state&f.Necessary != f.Necessary || state&f.Prohibited != 0 {
				continue
			}
			if _, err := f.List(v.ctx, e, xml.StartElement{Name: f.Name}); err != nil {
				return fmt.Errorf("auth: announcing %s: %w", f.Name.Local, err)
			}
			if err := e.Flush(); err != nil {
				return err
			}
		}
	}
	b.WriteString("</stream:features>")
	return nil
}

// tasks lets the client do what it has to do. It returns what the last task says
// with success.
func (v *serving) tasks(x *exchange, data *[]byte) (xml.TokenReader, error) {
	var (
		done  []string
		reply xml.TokenReader
	)
	v.strict(true)
	defer v.strict(false)
	for range maxTasks + 1 {
		tasks, err := v.server.Tasks(v.ctx, v.session, x.account, slices.Clone(done))
		switch {
		case err != nil:
			return nil, v.refuse(x, err)
		case len(tasks) == 0:
			return reply, nil
		}
		var b bytes.Buffer
		b.WriteString("<continue xmlns='" + NSSASL2 + "'>")
		if *data != nil {
			write(&b, "additional-data", "", base64.StdEncoding.EncodeToString(*data))
			*data = nil // It is said once.
		}
		b.WriteString("<tasks>")
		for _, t := range tasks {
			write(&b, "task", "", quote(t.Name))
		}
		b.WriteString("</tasks></continue>")
		e, err := v.next(b.Bytes(), "next")
		if err != nil {
			return nil, err
		}
		name, _ := e.attr("task")
		i := slices.IndexFunc(tasks, func(t Task) bool { return t.Name == name })
		if i < 0 {
			return nil, Failure{Condition: MalformedRequest, Text: "there is no such task"}
		}
		if reply, err = v.do(x, tasks[i], e); err != nil {
			return nil, err
		}
		done = append(done, name)
	}
	return nil, Failure{Condition: TemporaryAuthFailure}
}

// do does one task, which begins with e.
func (v *serving) do(x *exchange, t Task, e element) (xml.TokenReader, error) {
	for range maxSteps {
		reply, done, err := t.Step(v.ctx, e.reader())
		switch {
		case err != nil:
			return nil, v.refuse(x, err)
		case done:
			return reply, nil
		}
		var b bytes.Buffer
		b.WriteString("<task-data xmlns='" + NSSASL2 + "'>")
		if err := copyTo(&b, reply); err != nil {
			return nil, err
		}
		b.WriteString("</task-data>")
		if e, err = v.next(b.Bytes(), "task-data"); err != nil {
			return nil, err
		}
	}
	return nil, Failure{Condition: MalformedRequest}
}

// next sends something and returns the client's answer to it.
func (v *serving) next(p []byte, local string) (element, error) {
	if err := v.send(p); err != nil {
		return element{}, err
	}
	e, err := readElement(v.r, ofClient)
	switch {
	case err != nil:
		return element{}, err
	case e.is(NSSASL2, local):
		return e, nil
	case e.is(NSSASL2, "abort"):
		return element{}, Failure{Condition: Aborted}
	}
	return element{}, fmt.Errorf("auth: %s in place of %s: %w", e.start.Name.Local, local, stream.PolicyViolation)
}
