// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"fmt"
	"sync"
)

// A rule is one of those that a hub must keep to.
type rule struct{ name, says string }

const (
	ruleProgress = "nobody waits for ever"
	ruleBind     = "BN-14 a bind binds"
	ruleReplaced = "BN-17 a session is replaced"
	ruleEnds     = "BN-24 the ends of the archive"
	ruleUnread   = "D-04 what is unread"
	ruleStored   = "MA-01 what was taken is archived"
	ruleMissed   = "B2-12 nothing is missed"
	ruleTwice    = "B2-12 nothing comes twice"
	ruleOrder    = "D-01 one order"
	ruleID       = "MA-06 ids of the archive"
	ruleCopies   = "CA-10 who gets copies"
	ruleLost     = "D-03 nothing that is not archived is lost"
	ruleOffline  = "D-02 offline messages go to somebody"
	ruleForm     = "CA-11 the form of what is sent"
)

// rules are all of them.
var rules = []rule{
	{ruleProgress, "No call waits for longer than stores take, whatever clients do."},
	{ruleBind, "A bind succeeds if nothing is in its way, and gives a resource its own full JID."},
	{ruleReplaced, "A bind ends the sessions that the same installation has bound before."},
	{ruleEnds, "What a bind tells of the archive's ends is in the archive, and was its end at one instant behind all that was delivered before."},
	{ruleUnread, "What a bind tells to be unread is what was unread in the archive at its end."},
	{ruleStored, "A message that was taken is archived once by each account that has sent or received it, if it is to be archived, and never otherwise."},
	{ruleMissed, "A session gets all messages that it is due and that lie behind its cut in the archive, up to the last one that it got."},
	{ruleTwice, "A session gets no message twice, and none that lies before its cut in the archive."},
	{ruleOrder, "What a session gets live is in the order of the archive."},
	{ruleID, "A live message has one stanza-id by the account, which is the archive's, and none if it is not archived."},
	{ruleCopies, "Copies go to those who have asked for them, not to who has sent the message, and not of messages that must not be copied."},
	{ruleLost, "A message that is not archived but may be kept goes to somebody, or stays in the offline queue."},
	{ruleOffline, "What an account gets that does not look into the archive goes to somebody, or stays in the offline queue, whatever binds fail."},
	{ruleForm, "What is sent to a client is one whole message for its account, or a copy of one."},
}

// maxExamples is how many violations of a rule are shown.
const maxExamples = 5

// findings are the violations.
type findings struct {
	mu       sync.Mutex
	examples map[string][]string
	n        map[string]int
}

func (f *findings) add(rule, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n == nil {
		f.n, f.examples = make(map[string]int), make(map[string][]string)
	}
	if f.n[rule]++; f.n[rule] <= maxExamples {
		f.examples[rule] = append(f.examples[rule], fmt.Sprintf(format, args...))
	}
}

func (f *findings) of(rule string) ([]string, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.examples[rule], f.n[rule]
}
