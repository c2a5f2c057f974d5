// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// The messages of a SCRAM login that is the same each time.
const (
	fixedFirst = "n,,n=juliet,r=c"
	fixedSalt  = "r=cs,s=c2FsdA==,i=4096"
	fixedLast  = "c=biws,r=cs,p=proof"
	fixedProof = "v=proof"
)

// fixed are both sides of a mechanism in which nothing is random.
var fixed = sasl.Mechanism{
	Name:  "SCRAM-FIXED",
	Start: func(*sasl.Negotiator) (bool, []byte, any, error) { return true, []byte(fixedFirst), nil, nil },
	Next: func(n *sasl.Negotiator, got []byte, _ any) (bool, []byte, any, error) {
		switch {
		case string(got) == fixedFirst:
			return true, []byte(fixedSalt), nil, nil
		case string(got) == fixedSalt:
			return true, []byte(fixedLast), nil, nil
		case string(got) == fixedLast && n.Permissions(sasl.Credentials(func() ([]byte, []byte, []byte) {
			return []byte("juliet"), []byte(password), nil
		})):
			return false, []byte(fixedProof), nil, nil
		case string(got) == fixedProof:
			return false, nil, nil, nil
		}
		return false, nil, nil, sasl.ErrAuthn
	},
}

// fixedBinder binds with an id that is the same each time.
type fixedBinder struct{ pipelining.Binder }

func (b fixedBinder) Bind(jid.JID) ([]byte, func(*xml.Decoder, xml.StartElement) (jid.JID, error), error) {
	return []byte(askBind), func(d *xml.Decoder, start xml.StartElement) (jid.JID, error) {
		iq := struct {
			ID  string `xml:"id,attr"`
			JID string `xml:"urn:ietf:params:xml:ns:xmpp-bind bind>jid"`
		}{}
		if err := d.DecodeElement(&iq, &start); err != nil {
			return jid.JID{}, err
		}
		if iq.ID != "b" {
			return jid.JID{}, fmt.Errorf("unexpected id %q", iq.ID)
		}
		return jid.Parse(iq.JID)
	}, nil
}

// fixedClient is a client that says the same each time.
func fixedClient(mode pipelining.Mode, m sasl.Mechanism) xmpp.Negotiator {
	cfg := clientConfig(m)
	cfg.Binder = fixedBinder{pipelining.ResourceBinder()}
	return pipelining.Client(pipelining.Plan{Mode: mode}, cfg)
}

// fixedFeatures are those of a server that says the same each time, but for
// the ids of its streams.
func fixedFeatures(d *decisions) []xmpp.StreamFeature {
	return []xmpp.StreamFeature{
		xmpp.StartTLS(serverTLS()),
		pipelining.SASLServer(d.permit, fixed, sasl.Plain),
		xmpp.BindCustom(d.bind),
		pipelining.StreamFeature(),
	}
}

// overhear returns what client and server say to each other without TLS.
func overhear(t *testing.T, mode pipelining.Mode, m sasl.Mechanism) (client, server string) {
	t.Helper()
	l := logIn(t, plainTCP,
		func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
			return dial(ctx, plainTCP, c, balcony, fixedClient(mode, m))
		},
		func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
			return serve(ctx, plainTCP, c, pipelining.Config{}, fixedFeatures(new(decisions))...)
		})
	require.NoError(t, l.ClientErr)
	require.NoError(t, l.ServerErr)
	return string(l.Link.Sent(xmpptest.Client)), string(l.Link.Sent(xmpptest.Server))
}

// cuts calls f with ways to cut n bytes into deliveries: whole, byte by byte,
// and in two at every offset.
func cuts(n int, f func(name string, ends []int)) {
	f("whole", []int{n})
	each := make([]int, n)
	for i := range each {
		each[i] = i + 1
	}
	f("byte by byte", each)
	for i := 1; i < n; i++ {
		f(fmt.Sprintf("in two at %d", i), []int{i, n})
	}
}

// deliver writes s in pieces, each when the one before has been dealt with.
func deliver(t testing.TB, w io.Writer, s string, ends []int) {
	t.Helper()
	from := 0
	for _, end := range ends {
		_, err := io.WriteString(w, s[from:end])
		require.NoError(t, err)
		synctest.Wait()
		from = end
	}
}

// TestFramingServer is PL-07: a server's answers do not depend on how the
// client's bytes were cut.
func TestFramingServer(t *testing.T) {
	for _, m := range []sasl.Mechanism{sasl.Plain, fixed} {
		for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
			t.Run("PL-07 "+mode.String()+" "+m.Name, func(t *testing.T) {
				t.Parallel()
				var said, answers string
				synctest.Test(t, func(t *testing.T) { said, answers = overhear(t, mode, m) })
				answers = withoutIDs(answers)
				synctest.Test(t, func(t *testing.T) {
					cuts(len(said), func(name string, ends []int) {
						v := host{features: fixedFeatures}.visit(t, func(p *peer) {
							deliver(t, p, said, ends)
						})
						require.NoError(t, v.Err, name)
						require.Equal(t, answers, withoutIDs(v.Link.Sent(xmpptest.Server)), name)
						require.Equal(t, juliet, v.Session.RemoteAddr(), name)
						require.Equal(t, []string{"let in juliet", "bind juliet@im.example.com balcony"}, v.Decided, name)
						require.NoError(t, v.Link.Close())
					})
				})
			})
		}
	}
}

// TestFramingClient is PL-07 for the other direction.
func TestFramingClient(t *testing.T) {
	for _, m := range []sasl.Mechanism{sasl.Plain, fixed} {
		for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
			t.Run("PL-07 "+mode.String()+" "+m.Name, func(t *testing.T) {
				t.Parallel()
				var want, said string
				synctest.Test(t, func(t *testing.T) { want, said = overhear(t, mode, m) })
				synctest.Test(t, func(t *testing.T) {
					cuts(len(said), func(name string, ends []int) {
						g := entertain(t, plainTCP, fixedClient(mode, m), func(p *peer) { deliver(t, p, said, ends) })
						require.NoError(t, g.Err, name)
						require.Equal(t, want, string(g.Link.Sent(xmpptest.Client)), name)
						require.Equal(t, balcony, g.Session.LocalAddr(), name)
						require.Equal(t, xmpp.Secure|xmpp.Authn|xmpp.Ready, g.Session.State(), name)
						require.True(t, pipelining.Advertised(g.Session), name)
						_, bind := g.Session.Feature("urn:ietf:params:xml:ns:xmpp-bind")
						require.True(t, bind, name)
					})
				})
			})
		}
	}
}

// A cutter cuts what is written to a connection in two, at an offset, with a
// second of a bubble's time in between.
type cutter struct {
	net.Conn
	at int
}

func (c *cutter) Write(p []byte) (int, error) {
	if 0 < c.at && c.at < len(p) {
		if _, err := c.Conn.Write(p[:c.at]); err != nil {
			return 0, err
		}
		time.Sleep(time.Second)
		n, err := c.Conn.Write(p[c.at:])
		n, c.at = n+c.at, 0
		return n, err
	}
	c.at -= len(p)
	return c.Conn.Write(p)
}

func (c *cutter) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// TestFramingTLS is PL-07 around and within TLS: the first flight is cut at
// every byte of XML and at some of the handshake's, and what is within TLS at
// every fourth byte, into two records.
func TestFramingTLS(t *testing.T) {
	inside := logInPlain()
	answers := headed + strings.Replace(listsSASL, "SCRAM-SHA-256", fixed.Name, 1) + success + headedTo("juliet@im.example.com") + listsBind + bound
	visit := func(t *testing.T, name string, outer int, ends []int) {
		v := host{transport: startTLS, features: fixedFeatures, cfg: pipelining.Config{Timeout: time.Hour}}.visit(t, func(p *peer) {
			p.Conn = &cutter{Conn: p.Conn, at: outer}
			require.NoError(t, p.startTLS(opening+startTag, tls.VersionTLS13), name)
			if ends != nil {
				deliver(t, p, inside, ends)
			} else {
				p.say(inside)
			}
			p.until("</iq>")
		})
		require.NoError(t, v.Err, name)
		require.Equal(t, answers, v.Heard, name)
		require.Equal(t, []string{"let in juliet", "bind juliet@im.example.com balcony"}, v.Decided, name)
		require.NoError(t, v.Link.Close())
	}
	t.Run("PL-07 first flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			plain := len(opening + startTag)
			for i := 1; i < plain+500; i++ {
				if i > plain+8 {
					i += 16
				}
				visit(t, fmt.Sprintf("in two at %d", i), i, nil)
			}
		})
	})
	t.Run("PL-07 within TLS", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			cuts(len(inside), func(name string, ends []int) {
				if len(ends) == 2 && ends[0]%4 != 0 {
					return // Handshakes take their time.
				}
				visit(t, name, 0, ends)
			})
		})
	})
}
