// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestChannelBindingStripped is about somebody in the middle who takes out of the
// lists what binds, and leaves something in them, or puts it in, that looks as if
// all were well. The client must say "y", so that the server notices.
func TestChannelBindingStripped(t *testing.T) {
	for _, test := range []bindingTest{
		{name: "SA-31 PLUS of something unknown", mechanisms: []string{plus, bare}, offers: []string{"X-UNKNOWN-PLUS", bare}, types: []string{exporter}, want: bare, gs2: "y,,"},
		{name: "SA-31 PLUS of something not configured", mechanisms: []string{plus, bare, bare1}, offers: []string{plus1, bare, bare1}, types: []string{exporter}, want: bare, gs2: "y,,"},
	} {
		test.run(t)
	}
}

// TestNoInitialResponse begins with a mechanism in which the server speaks first.
func TestNoInitialResponse(t *testing.T) {
	t.Run("SA-07 no initial response is not an empty one", func(t *testing.T) {
		for _, d := range dialects {
			for _, w := range routes {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient("X-CHAT"))
					m := chat
					m.Start = func(*sasl.Negotiator) (bool, []byte, any, error) { return true, nil, nil, nil }
					c.More = []sasl.Mechanism{m}
					s := play(t, w.negotiator(d, c), func(a *actor) {
						a.open(d.offer("X-CHAT"))
						e := a.next(d.begin)
						assert.NotContains(t, e, "initial-response")
						assert.NotContains(t, e, ">=<")
						a.say(d.challenge("how"))
						assert.Equal(t, "re: how", a.response(d))
						a.say(d.success("bye"))
						a.settle(d)
					})
					s.welcomed(t, balcony)
				})
			}
		}
	})
}

// TestBoundAsAskedFor binds the resource that was asked for, with a stock
// negotiator, whose header is from a full JID.
func TestBoundAsAskedFor(t *testing.T) {
	for _, w := range []route{wrapped} {
		for _, to := range []string{"", " to='juliet@im.example.com/balcony'"} {
			t.Run("the resource that was asked for, and a header"+to+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
					s := stage{origin: balcony}.play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.header()
						a.say(strings.Replace(actorHeader, " id=", to+" id=", 1), features(modern(offersRide, auth.Plain)))
						a.begin(sasl2, auth.Plain)
						a.say(succeeds("", balcony.String(), ridden), features("<pipelining xmlns='urn:xmpp:features:pipelining'/>"))
					})
					s.welcomed(t, balcony)
				})
			})
		}
	}
}

// TestEndBehindBound lets the connection end among the features behind success.
func TestEndBehindBound(t *testing.T) {
	for _, w := range []route{wrapped, stepwise, before} {
		for _, tail := range []string{"", "<stream:features>", "<x/>", "</stream:features>"} {
			t.Run(w.name+" "+tail, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(offersRide, auth.Plain)))
						a.begin(sasl2, auth.Plain)
						a.say(succeeds("", balcony.String(), ridden), tail)
					})
					require.Error(t, s.Err)
					assert.Empty(t, s.Session.LocalAddr().Resourcepart(), "an address that came to nothing")
				})
			})
		}
	}
}

// TestFailureTextOfRFC6120 is about text in the namespace that conditions are in.
func TestFailureTextOfRFC6120(t *testing.T) {
	everyWay(t, "SA-18", func(t *testing.T, w route, d dialect) {
		s := play(t, w.negotiator(d, trusting(newClient(auth.Plain))), func(a *actor) {
			a.open(d.offer(auth.Plain))
			a.begin(d, auth.Plain)
			a.say(d.element("failure", "<text xmlns='"+auth.NSSASL+"'>No.</text><not-authorized xmlns='"+auth.NSSASL+"'/>"))
		})
		var f auth.Failure
		require.ErrorAs(t, s.Err, &f)
		assert.Equal(t, auth.Failure{Condition: auth.NotAuthorized, Text: "No."}, f)
	})
}

// TestTaskOfDecoder passes on what a decoder has read.
func TestTaskOfDecoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := trusting(newClient(auth.Plain))
		c.Tasks = []auth.ClientTask{{Name: "T", Begin: func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
			return xml.NewDecoder(strings.NewReader("<a xmlns='urn:t'><b/></a>")), nil, nil
		}}}
		play(t, stock.negotiator(sasl2, c), func(a *actor) {
			a.open(sasl2.offer(auth.Plain))
			a.begin(sasl2, auth.Plain)
			a.say(sasl2.element("continue", "<tasks><task>T</task></tasks>"))
			assert.Equal(t, `<next xmlns='urn:xmpp:sasl:2' task='T'><a xmlns="urn:t"><b xmlns="urn:t"></b></a></next>`, a.next("next"), "an attribute must not stand twice")
		})
	})
}

// TestAbortIsSent closes the connection that was given to mellium, as callers do.
func TestAbortIsSent(t *testing.T) {
	everyWay(t, "SA-23", func(t *testing.T, w route, d dialect) {
		link := xmpptest.NewLink(xmpptest.LinkConfig{})
		defer func() { _ = link.Close() }()
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			_, err := xmpp.NewSession(t.Context(), domain, juliet, link.A, xmpp.Secure, w.negotiator(d, trusting(newClient(auth.ScramSHA256))))
			assert.ErrorIs(t, err, auth.ErrUnproven)
			_ = link.A.Close()
		}()
		a := &actor{t: t, Conn: link.B}
		a.open(d.offer(auth.ScramSHA256))
		a.begin(d, auth.ScramSHA256)
		a.say(d.challenge("x"))
		a.next("abort")
	})
}

// TestLogOut is about what a client does with tokens when it logs out.
func TestLogOut(t *testing.T) {
	for _, w := range routes {
		t.Run("FA-16 a new one that nobody asked for, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { logsOut(t, w, token("fresh", "2030-01-01T00:00:00Z")) })
		})
	}
}

// TestListAlone offers nothing but a list of channel bindings.
func TestListAlone(t *testing.T) {
	for _, w := range routes {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, w.negotiator(sasl2, trusting(newClient(auth.ScramSHA256))), func(a *actor) { a.open(features(bindings("tls-exporter"))) })
				s.turned(t, nil)
				if !w.ahead {
					assert.ErrorIs(t, s.Err, auth.ErrNoMechanism)
				}
			})
		})
	}
}

// TestTaskFails is about errors of tasks that look like those of connections.
func TestTaskFails(t *testing.T) {
	for _, w := range routes {
		for _, err := range []error{&net.DNSError{Err: "no such host", Name: "otp.example"}, io.ErrUnexpectedEOF, &xml.SyntaxError{}} {
			t.Run(fmt.Sprintf("%T, %s", err, w.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Tasks = []auth.ClientTask{{Name: "T", Begin: func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
						return nil, nil, err
					}}}
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(sasl2.offer(auth.Plain))
						a.begin(sasl2, auth.Plain)
						a.say(sasl2.element("continue", "<tasks><task>T</task></tasks>"))
						a.next("abort")
					})
					s.turned(t, err)
					assert.NotErrorIs(t, s.Err, pipelining.ErrMispredicted, "it would fail in any other way, too")
				})
			})
		}
	}
}
