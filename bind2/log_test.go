// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
)

// TestLog is about what a person learns of a server.
func TestLog(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		level slog.Level
		want  string // or nothing
	}{
		{"a bind", nil, slog.LevelInfo, ""},
		{"a bind, in detail", nil, slog.LevelDebug, `level=DEBUG msg="bind2: bound" jid=juliet@im.example.com/balcony protocol=urn:xmpp:bind:0`},
		{"a refusal", stanza.Error{Condition: stanza.Conflict}, slog.LevelInfo, ""},
		{"a refusal, in detail", stanza.Error{Condition: stanza.Conflict}, slog.LevelDebug, `level=DEBUG msg="bind2: refused" account=juliet@im.example.com protocol=urn:xmpp:bind:0 err=conflict`},
		{"a failure", errors.New("disk on fire"), slog.LevelError, `level=ERROR msg="bind2: a resource could not be bound" account=juliet@im.example.com protocol=urn:xmpp:bind:0 err="disk on fire"`},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			var log bytes.Buffer
			store := binding("balcony", bind2.Bound{})
			if test.err != nil {
				store.bind = func(bind2.Request) (bind2.Bound, error) { return bind2.Bound{}, test.err }
			}
			h := newHouse(store)
			h.binds.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: test.level}))
			_ = inline(t, h, agent+askInline("<tag>X</tag>"))
			if test.want == "" {
				assert.Empty(t, log.String())
			}
			assert.Contains(t, log.String(), test.want)
			assert.NotContains(t, log.String(), agentID, "it is the client's own")
		})
	}
}
