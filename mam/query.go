// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Namespaces.
const (
	NS         = "urn:xmpp:mam:2"
	NSExtended = "urn:xmpp:mam:2#extended"

	nsForm  = "jabber:x:data"
	nsRSM   = "http://jabber.org/protocol/rsm"
	nsDelay = "urn:xmpp:delay"
	nsFwd   = "urn:xmpp:forward:0"
)

// Fields of the query form.
const (
	fieldType      = "FORM_TYPE"
	fieldWith      = "with"
	fieldStart     = "start"
	fieldEnd       = "end"
	fieldBefore    = "before-id"
	fieldAfter     = "after-id"
	fieldIDs       = "ids"
	fieldGroupChat = "include-groupchat"
)

const (
	// maxIDs bounds the list of ids in one query. It is more than a page has.
	maxIDs = 1000

	// maxID bounds an id, in bytes.
	maxID = 256

	// maxQueryID bounds the client's own name of a query, which is repeated in each
	// result.
	maxQueryID = 256
)

// A request is a query as a client has sent it.
type request struct {
	id     string // the client's name of it
	query  Query
	paged  bool // it has a result set element
	hasMax bool
	max    int
}

// queryXML is the query element.
type queryXML struct {
	ID    string    `xml:"queryid,attr"`
	Forms []formXML `xml:"jabber:x:data x"`
	Sets  []setXML  `xml:"http://jabber.org/protocol/rsm set"`
	Flip  *struct{} `xml:"urn:xmpp:mam:2 flip-page"`
}

type formXML struct {
	Type   string     `xml:"type,attr"`
	Fields []fieldXML `xml:"jabber:x:data field"`
}

type fieldXML struct {
	Var    string   `xml:"var,attr"`
	Values []string `xml:"jabber:x:data value"`
}

type setXML struct {
	Max    *string `xml:"http://jabber.org/protocol/rsm max"`
	After  *string `xml:"http://jabber.org/protocol/rsm after"`
	Before *string `xml:"http://jabber.org/protocol/rsm before"`
	Index  *string `xml:"http://jabber.org/protocol/rsm index"`
}

// badRequest returns the error of a query that makes no sense.
func badRequest(text string) stanza.Error {
	return stanzaError(stanza.Modify, stanza.BadRequest, text)
}

func stanzaError(typ stanza.ErrorType, condition stanza.Condition, text string) stanza.Error {
	e := stanza.Error{Type: typ, Condition: condition}
	if text != "" {
		e.Text = map[string]string{"en": text}
	}
	return e
}

// parseQuery reads a query. The errors are stanza errors.
func parseQuery(d *xml.Decoder, start *xml.StartElement) (request, error) {
	var q queryXML
	if err := d.DecodeElement(&q, start); err != nil {
		if errors.As(err, new(*xml.SyntaxError)) || errors.As(err, new(stanza.Error)) {
			return request{}, err
		}
		return request{}, badRequest("the query cannot be read")
	}
	r := request{id: q.ID}
	if len(q.ID) > maxQueryID || len(q.Forms) > 1 || len(q.Sets) > 1 {
		return r, badRequest("one form, one result set and a short queryid are taken")
	}
	if len(q.Forms) == 1 {
		if err := r.form(q.Forms[0]); err != nil {
			return r, err
		}
	}
	if len(q.Sets) == 1 {
		r.paged = true
		if err := r.set(q.Sets[0]); err != nil {
			return r, err
		}
	}
	r.query.Flip = q.Flip != nil
	return r, nil
}

func (r *request) form(f formXML) error {
	if f.Type != "submit" {
		return badRequest("the form is not a submission")
	}
	seen := make(map[string]bool)
	known := false
	for _, field := range f.Fields {
		if seen[field.Var] {
			return badRequest("a field stands twice")
		}
		seen[field.Var] = true
		if field.Var == fieldType {
			known = len(field.Values) == 1 && field.Values[0] == NS
			continue
		}
		if err := r.field(field); err != nil {
			return err
		}
	}
	if !known {
		return badRequest("the form is of another type")
	}
	return nil
}

func (r *request) field(f fieldXML) error {
	if f.Var == fieldIDs {
		if len(f.Values) > maxIDs {
			return stanzaError(stanza.Modify, stanza.PolicyViolation, fmt.Sprintf("more than %d ids", maxIDs))
		}
		for i, id := range f.Values {
			id = strings.TrimSpace(id)
			f.Values[i] = id
			if id == "" || len(id) > maxID {
				return stanzaError(stanza.Cancel, stanza.ItemNotFound, "")
			}
		}
		r.query.IDs = f.Values
		return nil
	}
	if len(f.Values) > 1 {
		return badRequest("a field has more than one value")
	}
	value := ""
	if len(f.Values) == 1 {
		value = strings.TrimSpace(f.Values[0])
	}
	if value == "" {
		if knownField(f.Var) {
			return nil // As if it were not there.
		}
		return unknownField()
	}
	var err error
	switch f.Var {
	case fieldWith:
		r.query.With, err = jid.Parse(value)
	case fieldStart:
		r.query.Start, err = parseTime(value)
	case fieldEnd:
		r.query.End, err = parseTime(value)
	case fieldBefore:
		r.query.BeforeID = value
	case fieldAfter:
		r.query.AfterID = value
	case fieldGroupChat:
		var include bool
		include, err = strconv.ParseBool(value)
		r.query.WithoutGroupChat = !include
	default:
		return unknownField()
	}
	if err != nil {
		return badRequest("a value of the form cannot be read")
	}
	return nil
}

func knownField(name string) bool {
	switch name {
	case fieldWith, fieldStart, fieldEnd, fieldBefore, fieldAfter, fieldGroupChat:
		return true
	}
	return false
}

func unknownField() stanza.Error {
	return stanzaError(stanza.Cancel, stanza.FeatureNotImplemented, "a field of the form is not known")
}

// errYear means that a time is not of the years 1 to 9999, which archives can keep.
var errYear = errors.New("mam: a year that does not exist")

// parseTime reads a time (XEP-0082). Its years have four digits, in UTC too.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}, err
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, errYear
	}
	return t, nil
}

// set reads a result set element (XEP-0059).
func (r *request) set(s setXML) error {
	if s.Max != nil {
		n, err := strconv.ParseUint(strings.TrimSpace(*s.Max), 10, 32)
		if err != nil {
			return badRequest("max is no number")
		}
		r.hasMax, r.max = true, int(min(n, math.MaxInt32))
	}
	c := &r.query.From
	if s.After != nil && s.Before != nil {
		return badRequest("after and before exclude each other")
	}
	switch {
	case s.After != nil:
		c.After = strings.TrimSpace(*s.After)
	case s.Before != nil:
		c.Before = strings.TrimSpace(*s.Before)
		c.Last = c.Before == ""
	case s.Index != nil:
		n, err := strconv.ParseInt(strings.TrimSpace(*s.Index), 10, 64)
		if err != nil || n < 0 {
			return badRequest("index is no number")
		}
		c.Index = n
	}
	return nil
}
