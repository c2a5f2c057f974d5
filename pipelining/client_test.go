// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/pipelining"
)

// full is a client that sends everything ahead.
func full(mechanisms ...sasl.Mechanism) xmpp.Negotiator {
	return pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, clientConfig(mechanisms...))
}

// TestStreamErrorAhead is about which stream errors are the plan's fault.
func TestStreamErrorAhead(t *testing.T) {
	stages := []struct{ name, before string }{
		{"behind the header", answering},
		{"behind the features", answering + offersSASL},
		{"behind success", answering + offersSASL + accepts + answering},
		{"in place of bound", answering + offersSASL + accepts + answering + offersBind},
	}
	for _, stage := range stages {
		for _, test := range []struct {
			condition string
			is        error
			final     bool
		}{
			{"see-other-host", stream.SeeOtherHost, true},
			{"host-unknown", stream.HostUnknown, true},
			{"system-shutdown", stream.SystemShutdown, true},
			{"resource-constraint", stream.ResourceConstraint, true},
			{"not-well-formed", stream.NotWellFormed, false},
			{"policy-violation", stream.PolicyViolation, false},
			{"not-authorized", stream.NotAuthorized, false},
		} {
			t.Run(test.condition+" "+stage.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, full(sasl.Plain), func(p *peer) {
						p.iqID()
						p.say(stage.before, ends(test.condition))
					})
					require.ErrorIs(t, g.Err, test.is)
					assert.Equal(t, !test.final, errors.Is(g.Err, pipelining.ErrMispredicted), g.Err)
					assert.Equal(t, balcony, g.Session.LocalAddr())
				})
			})
		}
	}
}

// TestBindRefused is about answers to bind that bind nothing.
func TestBindRefused(t *testing.T) {
	answer := func(kind, payload string) func(id string) string {
		return func(id string) string { return `<iq id='` + id + `' type='` + kind + `'>` + payload + `</iq>` }
	}
	conflict := `<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
	for _, test := range []struct {
		name         string
		answer       func(id string) string
		is           error
		mispredicted bool
	}{
		{"refused", answer("error", conflict), stanza.Error{Condition: stanza.Conflict}, false},
		{"another account", func(id string) string { return boundTo(id, "romeo@im.example.com/x") }, nil, false},
		{"another domain", func(id string) string { return boundTo(id, "juliet@verona.example/x") }, nil, false},
		{"a bare JID", func(id string) string { return boundTo(id, "juliet@im.example.com") }, nil, false},
		{"no JID", func(id string) string { return boundTo(id, "@") }, nil, false},
		{"nothing", answer("result", ""), nil, false},
		{"another id", func(string) string { return boundTo("other", balcony.String()) }, nil, true},
		{"a question", answer("get", ""), nil, true},
		{"a message", func(string) string { return "<message/>" }, nil, true},
		{"the end", func(string) string { return closing }, nil, true},
	} {
		for _, mode := range modes {
			t.Run(test.name+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)), func(p *peer) {
						p.header()
						p.say(answering, offersSASL)
						p.auth("auth")
						p.say(accepts)
						p.header()
						p.say(answering, offersBind)
						p.try(test.answer(p.iqID()))
					})
					require.Error(t, g.Err)
					if test.is != nil {
						require.ErrorIs(t, g.Err, test.is)
					}
					if mode != pipelining.Off {
						assert.Equal(t, test.mispredicted, errors.Is(g.Err, pipelining.ErrMispredicted), g.Err)
					}
					assert.LessOrEqual(t, strings.Count(g.Err.Error(), "pipelining: "), 1, g.Err)
					assert.Equal(t, balcony, g.Session.LocalAddr(), "an address that came to nothing")
					assert.Zero(t, g.Session.State()&ready)
				})
			})
		}
	}
}

// TestFailures is about what a server answers an authentication with.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name, failure string
		want          pipelining.AuthError
		mispredicted  bool
	}{
		{"wrong password", `<not-authorized/>`, pipelining.AuthError{Condition: "not-authorized"}, false},
		{
			"with text", `<account-disabled/><text xml:lang='en'>Call us.</text>`,
			pipelining.AuthError{Condition: "account-disabled", Text: "Call us."}, false,
		},
		{"nothing", ``, pipelining.AuthError{}, false},
		{"unknown", `<x xmlns='urn:x'/><temporary-auth-failure/>`, pipelining.AuthError{Condition: "temporary-auth-failure"}, false},
		{"mechanism gone", `<invalid-mechanism/>`, pipelining.AuthError{Condition: "invalid-mechanism"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := entertain(t, plainTCP, full(sasl.Plain), func(p *peer) {
					p.iqID()
					p.say(answering, offersSASL, `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>`+test.failure+`</failure>`)
				})
				var failure pipelining.AuthError
				require.ErrorAs(t, g.Err, &failure)
				assert.Equal(t, test.want, failure)
				assert.Equal(t, test.mispredicted, errors.Is(g.Err, pipelining.ErrMispredicted), g.Err)
				assert.Contains(t, failure.Error(), test.want.Condition)
				assert.Contains(t, failure.Error(), test.want.Text)
				assert.NotContains(t, g.Err.Error(), password)
			})
		})
	}
}

// TestMechanism is about which mechanism a client begins with.
func TestMechanism(t *testing.T) {
	for _, test := range []struct {
		name, planned, begins string
		may                   []sasl.Mechanism
	}{
		{"as planned", "PLAIN", "PLAIN", []sasl.Mechanism{sasl.ScramSha256, sasl.Plain}},
		{"no plan", "", "SCRAM-SHA-256", []sasl.Mechanism{sasl.ScramSha256, sasl.Plain}},
		{"a plan that may not be", "PLAIN", "SCRAM-SHA-256", []sasl.Mechanism{sasl.ScramSha256}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: pipelining.Full, Mechanism: test.planned}, clientConfig(test.may...)), func(p *peer) {
					p.header()
					assert.Contains(t, p.until("</auth>"), "mechanism='"+test.begins+"'")
					p.try(ends("reset"))
				})
			})
		})
	}
	for _, mode := range modes {
		t.Run("none, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig()), func(p *peer) {
					p.try(answering + offersSASL)
				})
				require.ErrorIs(t, g.Err, pipelining.ErrNoMechanism)
				g.keepsSecret(t)
			})
		})
	}
}

// lazyBinder reads no more of an answer than its start tag.
type lazyBinder struct{ plainBinder }

func (lazyBinder) Bind(origin jid.JID) ([]byte, func(*xml.Decoder, xml.StartElement) (jid.JID, error), error) {
	return []byte(`<bind xmlns='urn:test'/>`), func(_ *xml.Decoder, start xml.StartElement) (jid.JID, error) {
		return origin, nil
	}, nil
}

// TestBinder leaves the session behind an answer that was not read to its end.
func TestBinder(t *testing.T) {
	for _, mode := range modes {
		for _, answer := range []string{`<bound xmlns='urn:test'/>`, `<bound xmlns='urn:test'><a><b/>c</a></bound>`} {
			synctest.Test(t, func(t *testing.T) {
				cfg := clientConfig(sasl.Plain)
				cfg.Binder = lazyBinder{}
				g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: mode}, cfg), func(p *peer) {
					p.header()
					p.say(answering, offersSASL)
					p.auth("auth")
					p.say(accepts)
					p.header()
					p.say(answering, `<stream:features><bind xmlns='urn:test'/><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`)
					p.until(`<bind xmlns='urn:test'/>`)
					p.say(answer, `<message xmlns='jabber:client'/>`)
				})
				require.NoError(t, g.Err)
				assert.Equal(t, balcony, g.Session.LocalAddr())
				tok, err := g.Session.TokenReader().Token()
				require.NoError(t, err)
				assert.Equal(t, "message", tok.(xml.StartElement).Name.Local)
			})
		}
	}
}
