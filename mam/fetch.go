// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

// DefaultFetchSize is how many results a client asks for at once. Servers commonly
// give no more than 50 to 250.
const DefaultFetchSize = 100

// Errors of a [Client].
var (
	// ErrNoProgress means that a server answers with the same pages again and again,
	// or with nothing although it says that there is more.
	ErrNoProgress = errors.New("mam: the archive does not go on")

	// ErrTooMany means that a server sends more results than it was asked for.
	ErrTooMany = errors.New("mam: more results than were asked for")
)

// Client fetches messages from archives.
//
// Only what an open query has asked for is taken: results from somebody else than
// the archive, of another query, or behind its end are dropped, and an answer from
// somebody else is ErrWrongSender.
// The zero value is ready for use, once it is registered by [HandleClient] on the
// session's handler and the session is served. One Client may serve any number
// of sessions and queries at once.
//
// Nobody tells who waits for an answer that the session has ended: a context has to
// end when the session does.
// What an archive refuses is a [stanza.Error].
type Client struct {
	mu       sync.Mutex
	open     map[string]*page
	supports map[asked]Support
}

// Result is a message that an archive has returned.
type Result struct {
	// ID is the id that the archive knows the message by.
	ID string

	// Stamp is when the archive received it.
	Stamp time.Time

	// Message are the tokens of the message element, or nil if the archive has kept
	// no more of it.
	Message []xml.Token

	// Unstable is set if the archive says that the same query may have another answer
	// later. It is not for keeping.
	Unstable bool
}

// TokenReader returns a reader of the message element.
func (r Result) TokenReader() xml.TokenReader { return tokenReader(r.Message) }

// A page collects the results of one query.
type page struct {
	archive jid.JID // the bare JID of the account if it is its own
	own     bool
	max     int

	mu      sync.Mutex
	results []Result
	left    int // what they may still weigh
	err     error
}

// HandleClient returns an option that registers c.
func HandleClient(c *Client) mux.Option {
	return func(m *mux.ServeMux) {
		// No specification says of which type a result is.
		for _, typ := range []stanza.MessageType{
			stanza.NormalMessage, stanza.ChatMessage, stanza.GroupChatMessage, stanza.HeadlineMessage,
		} {
			mux.Message(typ, xml.Name{Space: NS, Local: "result"}, c)(m)
		}
	}
}

// HandleMessage takes one result. It never returns an error of what is in it.
func (c *Client) HandleMessage(m stanza.Message, t xmlstream.TokenReadEncoder) error {
	tokens, err := drain(t, maxWeight)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return err
	}
	start, result := childOf(tokens, NS, "result")
	c.mu.Lock()
	p := c.open[valueOf(start, "queryid")]
	c.mu.Unlock()
	if p == nil || !p.from(m.From) {
		return nil // Nobody has asked.
	}
	p.take(valueOf(start, "id"), result, err)
	return nil
}

// from reports whether a message comes from the archive. Mellium leaves out that a
// message is from the account itself.
func (p *page) from(j jid.JID) bool {
	return j.Equal(p.archive) || p.own && j.Equal(jid.JID{})
}

// take adds a result, unless it is too large.
func (p *page) take(id string, result []xml.Token, tooLarge error) {
	r := Result{ID: id}
	if _, forwarded := childOf(result, nsFwd, "forwarded"); forwarded != nil {
		delay, _ := childOf(forwarded, nsDelay, "delay")
		r.Stamp = stampOf(valueOf(delay, "stamp"))
		_, r.Message = childOf(forwarded, stanza.NSClient, "message")
	}
	weight := 0
	for _, tok := range result {
		weight += weigh(tok)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil || id == "":
	case tooLarge != nil || weight > p.left:
		p.results, p.err = nil, explained{ErrTooLarge, "a page of results is too large: ask for fewer at once"}
	case len(p.results) == p.max:
		p.results, p.err = nil, ErrTooMany
	default:
		p.left -= weight
		p.results = append(p.results, r)
	}
}

// end returns what has come. What comes later is left to itself.
func (p *page) end() ([]Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	results := p.results
	p.results = nil
	return results, p.err
}

// childOf returns the first child with a name of the element that tokens are: its
// start, and if its end is there, all of it.
func childOf(tokens []xml.Token, space, local string) (xml.StartElement, []xml.Token) {
	var start xml.StartElement
	depth, begin := 0, -1
	for i, tok := range tokens {
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 1 && begin < 0 && t.Name == (xml.Name{Space: space, Local: local}) {
				start, begin = t, i
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 1 && begin >= 0 {
				return start, tokens[begin : i+1]
			}
		}
	}
	return start, nil
}

func valueOf(start xml.StartElement, local string) string {
	for _, a := range start.Attr {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}

// Fetch returns an iterator over what matches a query in an archive: the zero JID
// for the account's own, or the bare JID of a room.
//
// It fetches page after page, each of q.Max results or DefaultFetchSize, from where
// q.From says, onwards in the order of the archive, or backwards if q.From.Last or
// q.From.Before is set: then the pages come last first, and in each the results
// are still in the order of the archive.
// What it holds is one page, of some dozens of megabytes at most. An archive that
// repeats itself may be noticed late: then some results have come twice.
//
// The last error, if any, comes beside a zero Result. AfterID, BeforeID, IDs, Flip
// and WithoutGroupChat are ErrNotAnnounced where they are not supported, for which
// the archive is asked once, see Supports.
func (c *Client) Fetch(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := c.check(ctx, s, archive, q); err != nil {
			yield(Result{}, err)
			return
		}
		if err := c.pages(ctx, s, archive, q, func(r Result) bool { return yield(r, nil) }); err != nil {
			yield(Result{}, err)
		}
	}
}

// pages fetches page after page, until yield has had enough.
func (c *Client) pages(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query, yield func(Result) bool) error {
	backwards := q.From.Last || q.From.Before != ""
	if q.Max <= 0 {
		q.Max = DefaultFetchSize
	}
	before := make(map[string]bool) // the ids of the last page
	circle := circle{at: q.From}
	for {
		results, fin, err := c.fetch(ctx, s, archive, q)
		if err != nil {
			return err
		}
		seen := make(map[string]bool, len(results))
		news := false
		for _, r := range results {
			if before[r.ID] || seen[r.ID] {
				continue
			}
			seen[r.ID], news = true, true
			if r.Unstable = fin.unstable; !yield(r) {
				return nil
			}
		}
		if fin.complete {
			return nil
		}
		next := Cursor{After: fin.last}
		if backwards {
			next = Cursor{Before: fin.first}
		}
		if !news || next == (Cursor{}) || circle.closes(next) {
			return ErrNoProgress
		}
		q.From, before = next, seen
	}
}

// A circle finds out that cursors repeat, after as many steps again as it took
// until they did: it remembers one of them, for twice as long each time.
type circle struct {
	at            Cursor
	steps, length int
}

// closes reports whether a cursor is the one that is remembered.
func (c *circle) closes(next Cursor) bool {
	if next == c.at {
		return true
	}
	if c.steps++; c.steps > c.length {
		c.at, c.steps, c.length = next, 0, 2*c.length+1
	}
	return false
}

// A finish is what a server says at the end of a page.
type finish struct {
	first, last string
	complete    bool
	unstable    bool
}

// fetch fetches one page.
func (c *Client) fetch(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query) ([]Result, finish, error) {
	me := s.LocalAddr()
	p := &page{archive: archive, own: isOwn(archive, me), max: q.Max, left: maxWeight}
	if p.own {
		p.archive = me.Bare()
	}
	id := rand.Text()
	c.mu.Lock()
	if c.open == nil {
		c.open = make(map[string]*page)
	}
	c.open[id] = p
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.open, id)
		c.mu.Unlock()
	}()

	answer := struct {
		Complete string `xml:"complete,attr"`
		Stable   string `xml:"stable,attr"`
		First    string `xml:"http://jabber.org/protocol/rsm set>first"`
		Last     string `xml:"http://jabber.org/protocol/rsm set>last"`
	}{}
	var (
		results []Result
		tooMany error
	)
	err := ask(ctx, s, question{
		doing: "fetching messages", answer: xml.Name{Space: NS, Local: "fin"},
		iq: stanza.IQ{Type: stanza.SetIQ, To: archive}, payload: q.reader(id),
		begun: func() { results, tooMany = p.end() },
	}, &answer)
	switch {
	case err != nil:
		return nil, finish{}, err
	case tooMany != nil:
		return nil, finish{}, tooMany
	}
	return results, finish{
		first: answer.First, last: answer.Last,
		complete: isTrue(answer.Complete), unstable: answer.Stable != "" && !isTrue(answer.Stable),
	}, nil
}

// isTrue reads a boolean attribute. What is none is false.
func isTrue(s string) bool {
	b, err := strconv.ParseBool(strings.TrimSpace(s))
	return err == nil && b
}
