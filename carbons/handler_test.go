// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	mcarbons "mellium.im/xmpp/carbons"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

var (
	_ mux.IQHandler    = (*carbons.Handler)(nil)
	_ info.FeatureIter = (*carbons.Handler)(nil)
)

// ask is an IQ that asks for something, with some attributes.
func ask(what, attrs string) string {
	return fmt.Sprintf(`<iq xmlns="jabber:client" type="set" id="1"%s><%s xmlns="urn:xmpp:carbons:2"/></iq>`, attrs, what)
}

func TestHandler(t *testing.T) {
	const result = `<iq xmlns="jabber:client" type="result" id="1" to="romeo@montague.example/garden" from="romeo@montague.example"/>`
	refusal := func(typ, condition string) string {
		return `<error xmlns="jabber:client" type="` + typ + `"><` + condition + ` xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"></`
	}
	for _, attrs := range []string{
		``, ` from="romeo@montague.example/garden"`, ` from="romeo@montague.example"`, ` to="romeo@montague.example"`, ` from="" to=""`,
		` from="Romeo@Montague.Example/garden" to="ROMEO@montague.example"`,
	} {
		t.Run("CA-02: whom a client may ask:"+attrs, func(t *testing.T) {
			var registry carbons.Registry
			h := &carbons.Handler{Resource: garden, Switch: registry.Switch}
			assert.Equal(t, canonical(t, result), canonical(t, handle(t, ask("enable", attrs), carbons.Handle(h))))
			assert.True(t, registry.Enabled(garden))
			assert.Equal(t, canonical(t, result), canonical(t, handle(t, ask("disable", attrs), carbons.Handle(h))))
			assert.False(t, registry.Enabled(garden))
		})
	}
	for _, attrs := range []string{
		` to="juliet@capulet.example"`, ` to="juliet@capulet.example/balcony"`, ` to="capulet.example"`, ` to="montague.example"`,
		` to="romeo@montague.example/home"`, ` to="romeo@montague.example/garden"`,
		` from="romeo@montague.example/home"`, ` from="juliet@capulet.example/balcony"`, ` from="montague.example"`,
		` from="juliet@capulet.example/balcony" to="juliet@capulet.example"`,
	} {
		t.Run("CA-03: AC-05: whom it may not:"+attrs, func(t *testing.T) {
			h := &carbons.Handler{Resource: garden, Switch: func(context.Context, jid.JID, bool) error {
				assert.Fail(t, "something is turned on or off")
				return nil
			}}
			for _, what := range []string{"enable", "disable"} {
				out := handle(t, ask(what, attrs), carbons.Handle(h))
				assert.Contains(t, canonical(t, out), "not-allowed")
				assert.Contains(t, out, ` to="romeo@montague.example/garden"`, "nobody else is told")
			}
		})
	}
	t.Run("CA-04: AC-09: as often as a client likes", func(t *testing.T) {
		var registry carbons.Registry
		h := &carbons.Handler{Resource: garden, Switch: registry.Switch}
		for i := range 1000 {
			what := []string{"enable", "enable", "disable", "disable"}[i%4]
			require.Equal(t, canonical(t, result), canonical(t, handle(t, ask(what, ""), carbons.Handle(h))))
			require.Equal(t, i%4 < 2, registry.Enabled(garden))
		}
	})
	t.Run("a handler of no resource", func(t *testing.T) {
		for _, resource := range []jid.JID{{}, romeo} {
			h := &carbons.Handler{Resource: resource, Switch: func(context.Context, jid.JID, bool) error {
				assert.Fail(t, "who asks is not known")
				return nil
			}}
			for _, attrs := range []string{"", ` from="romeo@montague.example/garden"`, ` from="romeo@montague.example"`} {
				assert.Contains(t, handle(t, ask("enable", attrs), carbons.Handle(h)), "not-allowed")
			}
		}
	})
	t.Run("without Switch", func(t *testing.T) {
		out := handle(t, ask("enable", ""), carbons.Handle(&carbons.Handler{Resource: garden}))
		assert.Contains(t, canonical(t, out), "service-unavailable")
	})
	t.Run("CA-03: an error for the client", func(t *testing.T) {
		h := &carbons.Handler{Resource: garden, Switch: func(context.Context, jid.JID, bool) error {
			return fmt.Errorf("policy: %w", stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden})
		}}
		for range 2 {
			out := handle(t, ask("enable", ""), carbons.Handle(h))
			assert.Contains(t, out, `type="error"`)
			assert.Contains(t, out, refusal("auth", "forbidden")[len(`<error xmlns="jabber:client" `):])
		}
	})
	t.Run("any other error", func(t *testing.T) {
		var log bytes.Buffer
		h := &carbons.Handler{
			Resource: garden, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Switch: func(context.Context, jid.JID, bool) error { return errors.New("disk full") },
		}
		out := handle(t, ask("enable", ""), carbons.Handle(h))
		assert.Contains(t, out, "internal-server-error")
		assert.NotContains(t, out, "disk full", "it is nobody's business")
		assert.Contains(t, log.String(), "disk full")
		h.Logger = nil
		assert.Contains(t, handle(t, ask("enable", ""), carbons.Handle(h)), "internal-server-error")
	})
	for limit, want := range map[time.Duration]time.Duration{0: carbons.DefaultTimeout, -1: carbons.DefaultTimeout, time.Second: time.Second} {
		t.Run("it does not wait for ever: "+limit.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				h := &carbons.Handler{Resource: garden, Timeout: limit, Switch: func(ctx context.Context, _ jid.JID, _ bool) error {
					<-ctx.Done()
					return ctx.Err()
				}}
				assert.Contains(t, handle(t, ask("enable", ""), carbons.Handle(h)), "internal-server-error")
				assert.Equal(t, want, time.Since(begin))
			})
		})
	}
	t.Run("get is not for us", func(t *testing.T) {
		h := &carbons.Handler{Resource: garden, Switch: new(carbons.Registry).Switch}
		out := handle(t, strings.Replace(ask("enable", ""), `"set"`, `"get"`, 1), carbons.Handle(h))
		assert.Contains(t, out, "service-unavailable")
	})
}

func TestFeatures(t *testing.T) {
	features := func(node string, h *carbons.Handler) (list []string) {
		seen := map[string]bool{}
		require.NoError(t, mux.New(stanza.NSClient, carbons.Handle(h)).ForFeatures(node, func(f info.Feature) error {
			if !seen[f.Var] {
				list = append(list, f.Var)
			}
			seen[f.Var] = true
			return nil
		}))
		return list
	}
	on := new(carbons.Registry).Switch
	for _, test := range []struct {
		rule, node string
		h          carbons.Handler
		want       []string
	}{
		{"CA-01: copies", "", carbons.Handler{Switch: on}, []string{carbons.NS}},
		{"CA-01: all rules", "", carbons.Handler{Switch: on, Rules: true}, []string{carbons.NS, carbons.NSRules}},
		{"CA-01: nothing that is not there", "", carbons.Handler{Rules: true}, nil},
		{"of something else", "node", carbons.Handler{Switch: on, Rules: true}, nil},
	} {
		t.Run(test.rule, func(t *testing.T) { assert.Equal(t, test.want, features(test.node, &test.h)) })
	}
	t.Run("an error ends it", func(t *testing.T) {
		stop := errors.New("stop")
		n := 0
		err := (&carbons.Handler{Switch: on, Rules: true}).ForFeatures("", func(info.Feature) error { n++; return stop })
		assert.ErrorIs(t, err, stop)
		assert.Equal(t, 1, n)
	})
}

// TestSession lets mellium's client turn copies on and off, and receive some.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := xmpptest.NewPair(t, xmpptest.PairConfig{})
		resource := p.Client.LocalAddr()
		var registry carbons.Registry
		copies := make(chan carbons.Copy, 1)
		refused := make(chan error, 1)
		p.Serve(
			mux.New(stanza.NSClient, carbons.HandleClient(&carbons.Client{
				Account: resource,
				Copied:  func(c carbons.Copy) { copies <- c },
				Refused: func(_ stanza.Message, err error) { refused <- err },
			})),
			mux.New(stanza.NSClient, carbons.Handle(&carbons.Handler{Resource: resource, Switch: registry.Switch})))
		for range 2 {
			require.NoError(t, mcarbons.Enable(t.Context(), p.Client))
			assert.True(t, registry.Enabled(resource))
		}

		require.NoError(t, p.Server.Send(t.Context(), carbons.Wrap(carbons.Received, resource, stanza.ChatMessage, reader(plain))))
		c := <-copies
		assert.Equal(t, balcony, c.Message.From, "CA-13: a copy from the account, whose address mellium blanks")
		_, err := p.Server.Conn().Write([]byte(strings.Replace(string(
			carbons.Append(nil, carbons.Sent, resource, stanza.ChatMessage, []byte(plain))),
			"juliet@capulet.example/balcony", resource.String(), 1)))
		require.NoError(t, err)
		assert.Equal(t, carbons.Sent, (<-copies).Direction)

		forged := carbons.Append(nil, carbons.Sent, balcony, stanza.ChatMessage, []byte(plain))
		_, err = p.Server.Conn().Write(forged)
		require.NoError(t, err)
		assert.ErrorIs(t, <-refused, carbons.ErrForged, "CA-13")

		for range 2 {
			require.NoError(t, mcarbons.Disable(t.Context(), p.Client), "the session goes on")
			assert.False(t, registry.Enabled(resource))
		}
	})
}
