// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
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

const (
	// DefaultFetchSize is how many results a client asks for at once. Servers
	// commonly give no more than 50 to 250.
	DefaultFetchSize = 100

	// maxResultTokens bounds one result of a server.
	maxResultTokens = 64 << 10
)

// Errors of a [Client].
var (
	// ErrNoProgress means that a server answers with the same page again and again, or
	// with nothing although it says that there is more.
	ErrNoProgress = errors.New("mam: the archive does not go on")

	// ErrTooMany means that a server sends more results than it was asked for.
	ErrTooMany = errors.New("mam: more results than were asked for")
)

// Client fetches messages from archives.
//
// Only what an open query has asked for is taken: results from somebody else than
// the archive, of another query, or behind its end are dropped.
// The zero value is ready for use, once it is registered by [HandleClient] on the
// session's handler and the session is served. One Client may serve any number
// of sessions and queries.
type Client struct {
	mu   sync.Mutex
	open map[string]*page
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
}

// TokenReader returns a reader of the message element.
func (r Result) TokenReader() xml.TokenReader { return tokenReader(r.Message) }

// A page collects the results of one query.
type page struct {
	archive jid.JID
	own     bool // it is the account's own
	max     int

	mu      sync.Mutex
	results []Result
	err     error
}

// HandleClient returns an option that registers c.
func HandleClient(c *Client) mux.Option {
	return mux.Message(stanza.NormalMessage, xml.Name{Space: NS, Local: "result"}, c)
}

// HandleMessage takes one result. It never returns an error of what is in it.
func (c *Client) HandleMessage(m stanza.Message, t xmlstream.TokenReadEncoder) error {
	tokens, err := drain(xmlstream.LimitReader(t, maxResultTokens))
	if err != nil {
		return err
	}
	result, ok := childOf(tokens, NS, "result")
	if !ok {
		return nil
	}
	start := result[0].(xml.StartElement)
	c.mu.Lock()
	p := c.open[valueOf(start, "queryid")]
	c.mu.Unlock()
	if p == nil || !p.from(m.From) {
		return nil // Nobody has asked.
	}
	p.take(valueOf(start, "id"), result)
	return nil
}

// from reports whether a message comes from the archive. Mellium leaves out that a
// message is from the account itself.
func (p *page) from(j jid.JID) bool {
	return j.Equal(p.archive) || p.own && j.Equal(jid.JID{})
}

// take adds a result.
func (p *page) take(id string, result []xml.Token) {
	r := Result{ID: id}
	if forwarded, ok := childOf(result, nsFwd, "forwarded"); ok {
		if delay, ok := childOf(forwarded, nsDelay, "delay"); ok {
			// A time that cannot be read is left zero.
			r.Stamp, _ = time.Parse(time.RFC3339, valueOf(delay[0].(xml.StartElement), "stamp"))
		}
		if message, ok := childOf(forwarded, stanza.NSClient, "message"); ok {
			r.Message = message
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case id == "" || p.err != nil:
	case len(p.results) == p.max:
		p.err = ErrTooMany
	default:
		p.results = append(p.results, r)
	}
}

// childOf returns the tokens of the first child of the element that tokens are.
func childOf(tokens []xml.Token, space, local string) ([]xml.Token, bool) {
	depth, begin := 0, -1
	for i, tok := range tokens {
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 1 && begin < 0 && t.Name == (xml.Name{Space: space, Local: local}) {
				begin = i
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 1 && begin >= 0 {
				return tokens[begin : i+1], true
			}
		}
	}
	return nil, false
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
// What it holds is one page. No result comes twice.
//
// The last error, if any, comes beside a zero Result; it is a [stanza.Error] if the
// server refuses.
// AfterID, BeforeID, IDs and Flip need a server that announces [NSExtended].
func (c *Client) Fetch(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		backwards := q.From.Last || q.From.Before != ""
		if q.Max <= 0 {
			q.Max = DefaultFetchSize
		}
		before := make(map[string]bool) // the ids of the last page
		for {
			results, fin, err := c.fetch(ctx, s, archive, q)
			if err != nil {
				yield(Result{}, err)
				return
			}
			seen := make(map[string]bool, len(results))
			news := 0
			for _, r := range results {
				if before[r.ID] || seen[r.ID] {
					continue
				}
				seen[r.ID] = true
				news++
				if !yield(r, nil) {
					return
				}
			}
			next := Cursor{After: fin.last}
			if backwards {
				next = Cursor{Before: fin.first}
			}
			switch {
			case fin.complete:
				return
			case news == 0 || next == q.From || next == Cursor{}:
				yield(Result{}, ErrNoProgress)
				return
			}
			q.From, before = next, seen
		}
	}
}

// A finish is what a server says at the end of a page.
type finish struct {
	first, last string
	complete    bool
}

// fetch fetches one page.
func (c *Client) fetch(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query) ([]Result, finish, error) {
	own := s.LocalAddr().Bare()
	p := &page{archive: archive, max: q.Max, own: archive.Equal(jid.JID{}) || archive.Equal(own)}
	if p.own {
		p.archive = own
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
		XMLName  xml.Name `xml:"urn:xmpp:mam:2 fin"`
		Complete string   `xml:"complete,attr"`
		First    string   `xml:"http://jabber.org/protocol/rsm set>first"`
		Last     string   `xml:"http://jabber.org/protocol/rsm set>last"`
	}{}
	iq := stanza.IQ{Type: stanza.SetIQ, To: archive}
	if err := s.UnmarshalIQ(ctx, iq.Wrap(q.reader(id)), &answer); err != nil {
		return nil, finish{}, fmt.Errorf("mam: fetching messages: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	complete, _ := strconv.ParseBool(strings.TrimSpace(answer.Complete))
	return p.results, finish{answer.First, answer.Last, complete}, p.err
}

// reader returns the query element.
func (q Query) reader(id string) xml.TokenReader {
	field := func(name string, values ...string) xml.TokenReader {
		var inner []xml.TokenReader
		for _, v := range values {
			inner = append(inner, text("value", v))
		}
		return xmlstream.Wrap(xmlstream.MultiReader(inner...), xml.StartElement{Name: xml.Name{Local: "field"}, Attr: []xml.Attr{attr("var", name)}})
	}
	fields := []xml.TokenReader{field(fieldType, NS)}
	add := func(name string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			fields = append(fields, field(name, values...))
		}
	}
	add(fieldWith, q.With.String())
	if !q.Start.IsZero() {
		add(fieldStart, formatTime(q.Start))
	}
	if !q.End.IsZero() {
		add(fieldEnd, formatTime(q.End))
	}
	add(fieldAfter, q.AfterID)
	add(fieldBefore, q.BeforeID)
	add(fieldIDs, q.IDs...)
	if q.WithoutGroupChat {
		add(fieldGroupChat, "false")
	}
	set := []xml.TokenReader{text("max", strconv.Itoa(q.Max))}
	switch {
	case q.From.After != "":
		set = append(set, text("after", q.From.After))
	case q.From.Before != "":
		set = append(set, text("before", q.From.Before))
	case q.From.Last:
		set = append(set, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "before"}}))
	case q.From.Index > 0:
		set = append(set, text("index", strconv.FormatInt(q.From.Index, 10)))
	}
	inner := []xml.TokenReader{
		xmlstream.Wrap(xmlstream.MultiReader(fields...), xml.StartElement{Name: xml.Name{Space: nsForm, Local: "x"}, Attr: []xml.Attr{attr("type", "submit")}}),
		xmlstream.Wrap(xmlstream.MultiReader(set...), xml.StartElement{Name: xml.Name{Space: nsRSM, Local: "set"}}),
	}
	if q.Flip {
		inner = append(inner, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "flip-page"}}))
	}
	return xmlstream.Wrap(xmlstream.MultiReader(inner...), xml.StartElement{Name: xml.Name{Space: NS, Local: "query"}, Attr: []xml.Attr{attr("queryid", id)}})
}
