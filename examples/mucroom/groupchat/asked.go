// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"encoding/xml"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/mucfr"
)

// asked are the last requests from one occupant to another. They are passed on with ids
// of the service's own: two clients may have chosen the same one, and who answers must
// not learn which client has asked. Of too many, the first have no answer.
type asked struct {
	next uint64
	last [maxAsked]question // each at its number, modulo maxAsked
}

// A question is a request that waits for its answer.
type question struct {
	request
	number uint64
	by     jid.JID // whose answer it is; zero if there was one
}

// add remembers a request, and returns the id with which it is passed on.
func (a *asked) add(q request, by jid.JID) string {
	q.children = nil
	a.last[a.next%maxAsked] = question{q, a.next, by}
	a.next++
	return strconv.FormatUint(a.next-1, 36)
}

// take returns the request that an answer is to, and forgets it.
func (a *asked) take(answer request) (request, bool) {
	number, err := strconv.ParseUint(answer.id, 36, 64)
	if err != nil {
		return request{}, false
	}
	q := &a.last[number%maxAsked]
	if q.number != number || !q.by.Equal(answer.from) || !q.to.Bare().Equal(answer.to.Bare()) {
		return request{}, false
	}
	was := q.request
	*q = question{}
	return was, true
}

// isPing reports whether a payload is a ping (XEP-0199).
func isPing(p mucfr.Payload) bool {
	start, ok := payload(xml.NewDecoder(strings.NewReader(p.String())))
	return ok && start.Name == xml.Name{Space: ping.NS, Local: "ping"}
}
