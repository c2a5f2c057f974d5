// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"

	"mellium.im/xmpp/jid"
)

const nsRoster = "jabber:iq:roster"

const (
	// MaxRosterItems is how many contacts a roster may have: many times what servers
	// let a person have. With more the answer is refused, and so are pushes that add
	// to them.
	MaxRosterItems = 20_000

	// maxRosterBytes bounds the text of all items together. A contact commonly takes
	// less than a hundred bytes.
	maxRosterBytes = 8 << 20

	// maxRosterText bounds each name and group, and the version. Names are shown on one
	// line, and versions are hashes or numbers.
	maxRosterText = 4 << 10

	// maxRosterGroups bounds the groups of a contact, which people make by hand.
	maxRosterGroups = 100

	// rosterTokens bounds what an answer of so many items is made of: each has two tags,
	// three tokens for each group, and white space.
	rosterTokens = 16 * MaxRosterItems

	// pushTokens does the same for one item.
	pushTokens = 16 + 8*maxRosterGroups
)

// rosterAnswer is a result or a push.
type rosterAnswer struct {
	version string
	items   []RosterItem
	partial bool // there was more to it than is in items
}

// rosterQuery is how it is sent.
type rosterQuery struct {
	Version string `xml:"ver,attr"`
	Items   []struct {
		JID          string   `xml:"jid,attr"`
		Name         string   `xml:"name,attr"`
		Subscription string   `xml:"subscription,attr"`
		Ask          string   `xml:"ask,attr"`
		Approved     string   `xml:"approved,attr"`
		Groups       []string `xml:"jabber:iq:roster group"`
	} `xml:"jabber:iq:roster item"`
}

// readRosterResult reads the answer to a get. It is nil if it has no payload, which
// means that all changes come as pushes (XEP-0237, section 2.3).
//
// The error is ErrRoster, a stanza.Error, or what reading from the stream has said,
// which is not of this package.
func readRosterResult(r xml.TokenReader, start xml.StartElement) (*rosterAnswer, error) {
	iq := struct {
		Query *rosterQuery `xml:"jabber:iq:roster query"`
		Error *wireError   `xml:"jabber:client error"`
	}{}
	err := decode(r, start, limits{tokens: rosterTokens, text: maxRosterBytes}, &iq)
	switch {
	case errors.Is(err, errLimit):
		return nil, fmt.Errorf("%w: %w", ErrRoster, err)
	case err != nil:
		return nil, err
	case isError(start):
		return nil, answerError(iq.Error)
	case iq.Query == nil:
		return nil, nil
	case len(iq.Query.Items) > MaxRosterItems:
		return nil, fmt.Errorf("%w: it has %d items", ErrRoster, len(iq.Query.Items))
	}
	return iq.Query.answer(), nil
}

// readRosterPush reads a push, which has one item. The error is ErrRoster or what
// reading from the stream has said.
func readRosterPush(r xml.TokenReader, start xml.StartElement) (version string, item RosterItem, err error) {
	iq := struct {
		Query rosterQuery `xml:"jabber:iq:roster query"`
	}{}
	err = decode(r, start, limits{tokens: pushTokens, text: pushTokens * maxRosterText / 8}, &iq)
	if errors.Is(err, errLimit) {
		return "", RosterItem{}, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	if err != nil {
		return "", RosterItem{}, err
	}
	a := iq.Query.answer()
	if len(a.items) != 1 || a.partial {
		return "", RosterItem{}, fmt.Errorf("%w: a push is of one item", ErrRoster)
	}
	return a.version, a.items[0], nil
}

// answer returns what there is in a query. What cannot be is left out, and makes it
// partial.
func (q *rosterQuery) answer() *rosterAnswer {
	a := &rosterAnswer{version: q.Version, items: make([]RosterItem, 0, len(q.Items))}
	if len(q.Version) > maxRosterText {
		a.version, a.partial = "", true
	}
	for _, i := range q.Items {
		j, err := jid.Parse(i.JID)
		long := func(s string) bool { return len(s) > maxRosterText }
		if err != nil || long(i.Name) || len(i.Groups) > maxRosterGroups || slices.ContainsFunc(i.Groups, long) {
			a.partial = true
			continue
		}
		item := RosterItem{
			JID: j, Name: i.Name, Subscription: SubscriptionNone,
			Ask: i.Ask == "subscribe", Approved: i.Approved == "true" || i.Approved == "1",
		}
		switch i.Subscription {
		case SubscriptionTo, SubscriptionFrom, SubscriptionBoth, SubscriptionRemove:
			item.Subscription = i.Subscription
		}
		for _, g := range i.Groups {
			if g != "" && !slices.Contains(item.Groups, g) {
				item.Groups = append(item.Groups, g)
			}
		}
		a.items = append(a.items, item)
	}
	return a
}

// askRoster asks for the roster, from a server that has roster versions or not.
func (b *inbox) askRoster(versions bool) []byte {
	id := rand.Text()
	b.wait(id, question{take: b.takeRoster, lost: func() { b.roster.finish(ErrNoAnswer) }})
	return fmt.Appendf(nil, `<iq id='%s' type='get'><query xmlns='%s'%s/></iq>`, id, nsRoster, b.roster.ask(versions))
}

// takeRoster takes the answer.
func (b *inbox) takeRoster(r xml.TokenReader, start xml.StartElement) error {
	full, err := readRosterResult(r, start)
	switch {
	case err == nil:
		b.roster.replace(full)
	case errors.Is(err, ErrRoster):
		b.roster.finish(err)
	case errors.As(err, new(refusal)):
		b.roster.finish(fmt.Errorf("quickstart: asking for the roster: %w", err))
	default:
		b.roster.finish(ErrNoAnswer)
		return err
	}
	return nil
}
