// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"encoding/xml"
	"errors"
	"weak"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// ErrNotAnnounced means that a query needs what the archive does not announce.
var ErrNotAnnounced = errors.New("mam: the archive does not announce what the query needs")

// maxAsked bounds how many archives a client remembers the features of. Who has
// more rooms asks some of them again.
const maxAsked = 1000

const nsDisco = "http://jabber.org/protocol/disco#info"

// Support is what the address of an archive announces (XEP-0030).
type Support struct {
	// Archive is set if it is one.
	Archive bool

	// Extended is set if it takes the fields AfterID, BeforeID, IDs and Flip of a
	// query, and knows its ends.
	Extended bool

	// GroupChat is set if it takes the field WithoutGroupChat of a query.
	GroupChat bool

	// IDs is set if messages that arrive live carry the ids that they have in the
	// archive, and nobody else can have put them there: then they tell whether the
	// archive has returned a message, see [Gate].
	IDs bool
}

// What a client has asked on a session.
type asked struct {
	session weak.Pointer[xmpp.Session]
	archive string
}

// Supports returns what an archive announces: the zero JID stands for the account's
// own. Each is asked once on a session, as long as a client does not ask more than
// a thousand.
func (c *Client) Supports(ctx context.Context, s *xmpp.Session, archive jid.JID) (Support, error) {
	if archive.Equal(jid.JID{}) {
		archive = s.LocalAddr().Bare()
	}
	key := asked{weak.Make(s), archive.String()}
	c.mu.Lock()
	support, ok := c.supports[key]
	c.mu.Unlock()
	if ok {
		return support, nil
	}
	answer := struct {
		Features []struct {
			Var string `xml:"var,attr"`
		} `xml:"http://jabber.org/protocol/disco#info feature"`
	}{}
	name := xml.Name{Space: nsDisco, Local: "query"}
	err := ask(ctx, s, question{
		doing: "asking for features", answer: name,
		iq:      stanza.IQ{Type: stanza.GetIQ, To: archive},
		payload: xmlstream.Wrap(nil, xml.StartElement{Name: name}),
	}, &answer)
	if err != nil {
		return Support{}, err
	}
	has := make(map[string]bool)
	for _, f := range answer.Features {
		has[f.Var] = true
	}
	// What is not an archive cannot be asked like one.
	support = Support{
		Archive: has[NS], Extended: has[NS] && has[NSExtended],
		GroupChat: has[NS] && has[nsGroupChat], IDs: has[NS] && has[NSStanzaID],
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.supports) >= maxAsked {
		clear(c.supports)
	}
	if c.supports == nil {
		c.supports = make(map[asked]Support)
	}
	c.supports[key] = support
	return support, nil
}

// check is ErrNotAnnounced if an archive does not announce what a query needs. Only
// then it is asked.
func (c *Client) check(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query) error {
	extended := q.AfterID != "" || q.BeforeID != "" || len(q.IDs) > 0 || q.Flip
	if !extended && !q.WithoutGroupChat {
		return nil
	}
	support, err := c.Supports(ctx, s, archive)
	switch {
	case err != nil:
		return err
	case extended && !support.Extended:
		return explained{ErrNotAnnounced, "the archive does not announce " + NSExtended}
	case q.WithoutGroupChat && !support.GroupChat:
		return explained{ErrNotAnnounced, "the archive does not announce " + nsGroupChat}
	}
	return nil
}
