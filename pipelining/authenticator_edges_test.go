// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"crypto/tls"
	"encoding/xml"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestAuthenticatorReadsNothing does not read the elements that it answers.
func TestAuthenticatorReadsNothing(t *testing.T) {
	for _, challenge := range []string{"<challenge/>", "<challenge>x<y/></challenge>"} {
		synctest.Test(t, func(t *testing.T) {
			p := puppet{answer: func(_ *xmpp.Session, _ *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
				if start.Name.Local == "success" {
					return nil, false, xmpp.Authn, nil
				}
				return []byte("<response/>"), false, 0, nil
			}}
			g := entertain(t, plainTCP, p.client(sasl2(pipelining.Full)), func(peer *peer) {
				peer.say(answering, offersSASL2, challenge)
				peer.until("<response/>")
				peer.say(challenge)
				peer.until("<response/>")
				peer.say(succeeds, offersBind)
				peer.say(boundTo(peer.iqID(), balcony.String()))
			})
			require.NoError(t, g.Err)
		})
	}
}

// TestLastWord is about what an Authenticator says with an error.
func TestLastWord(t *testing.T) {
	for _, mode := range []pipelining.Mode{pipelining.Paced, pipelining.Full} {
		t.Run("what goes with an error is sent, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := puppet{answer: func(*xmpp.Session, *xml.Decoder, xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
					return []byte("<abort/>"), true, 0, assert.AnError
				}}
				g := entertain(t, plainTCP, p.client(sasl2(mode)), func(peer *peer) { peer.say(answering, offersSASL2, "<challenge/>") })
				require.ErrorIs(t, g.Err, assert.AnError)
				assert.Equal(t, headers+asks+"<abort/>", string(g.Link.Sent(xmpptest.Client)))
			})
		})
	}
}

// TestVerifyTLSStepByStep is about the verification that a ClientConfig asks for,
// where nothing is sent ahead.
func TestVerifyTLSStepByStep(t *testing.T) {
	pin := func(cfg *pipelining.ClientConfig) {
		cfg.VerifyTLS = func(tls.ConnectionState) error { return assert.AnError }
	}
	for _, mode := range []pipelining.Mode{pipelining.Off} {
		for _, tr := range []transport{startTLS, directTLS} {
			t.Run("is verified, "+string(tr)+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls []string
					g := entertain(t, tr, puppet{calls: &calls}.client(sasl2(mode), pin), func(peer *peer) {
						if tr == startTLS {
							peer.header()
							peer.say(answering, offersTLS)
							peer.until(startTag)
							peer.say(proceed)
						}
						if peer.acceptTLS() == nil { // The client may have gone before it is complete.
							peer.try(answering + offersSASL2 + succeeds)
							_ = peer.Conn.(*tls.Conn).CloseWrite()
						}
					})
					require.ErrorIs(t, g.Err, pipelining.ErrUnverifiedTLS)
					assert.ErrorIs(t, g.Err, assert.AnError)
					assert.Empty(t, calls, "it was asked before the connection was verified")
				})
			})
		}
	}
}

// TestFeaturesFollowNegotiator is about a stock negotiator, whose header is from a full JID.
func TestFeaturesFollowNegotiator(t *testing.T) {
	negotiator, way := inlineWays["Negotiator"], "Negotiator"
	for _, to := range []string{"", " to='juliet@im.example.com/balcony'"} {
		t.Run("the header is to "+to+", "+way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := entertain(t, plainTCP, negotiator(inline(jid.JID{})), func(peer *peer) {
					peer.header()
					peer.say(strings.Replace(answering, " id=", to+" id=", 1), offersSASL2)
					peer.until(asks)
					peer.say(binds, "<stream:features/>")
				})
				require.NoError(t, g.Err)
				assert.Equal(t, otherwise, g.Session.LocalAddr())
			})
		})
	}
	t.Run("bound to what was asked for, "+way, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := entertain(t, plainTCP, negotiator(inline(balcony)), func(peer *peer) {
				peer.header()
				peer.say(answering, offersSASL2)
				peer.until(asks)
				peer.say(binds, `<stream:features><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`)
			})
			require.NoError(t, g.Err)
			assert.Equal(t, balcony, g.Session.LocalAddr())
			assert.NotZero(t, g.Session.State()&ready)
		})
	})
}

// TestFeaturesFollowInVain is about the address of a session whose features do not
// come.
func TestFeaturesFollowInVain(t *testing.T) {
	for way, negotiator := range inlineWays {
		for name, list := range map[string]string{"the end": "", "half of them": "<stream:features><x", "a stanza": "<message/>", "the end tag": closing} {
			t.Run(name+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, negotiator(inline(jid.JID{})), func(peer *peer) {
						peer.header()
						peer.say(answering, offersSASL2)
						peer.until(asks)
						peer.try(binds + list)
						_ = peer.Close()
					})
					require.Error(t, g.Err)
					assert.Equal(t, balcony, g.Session.LocalAddr(), "an address that came to nothing")
				})
			})
		}
	}
}
