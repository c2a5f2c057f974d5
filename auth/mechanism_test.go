// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// A stepper is one end of a bare mechanism. A sasl.Negotiator is one.
type stepper interface {
	Step(message []byte) (more bool, response []byte, err error)
}

// A talk is what two ends of a mechanism have said to each other.
type talk struct {
	said      []string // the client's and the server's in turn
	clientErr error
	serverErr error
}

func (x talk) err() error { return errors.Join(x.clientErr, x.serverErr) }

// letTalk lets the two ends of a mechanism talk until both are done or one has
// failed.
func letTalk(client, server stepper) (x talk) {
	var (
		clientMore, serverMore = true, true
		message                []byte
	)
	for range 10 {
		if clientMore, message, x.clientErr = client.Step(message); x.clientErr != nil {
			return x
		}
		if !serverMore {
			if clientMore {
				x.clientErr = errors.New("the client expects more than the server has to say")
			}
			return x
		}
		x.said = append(x.said, string(message))
		if serverMore, message, x.serverErr = server.Step(message); x.serverErr != nil {
			return x
		}
		x.said = append(x.said, string(message))
		if !clientMore {
			if serverMore || len(message) > 0 {
				x.serverErr = errors.New("the server says more than the client expects")
			}
			return x
		}
	}
	x.serverErr = errors.New("there is no end to it")
	return x
}

// names are what a client says about itself.
type names struct{ user, password, identity string }

func (n names) option() sasl.Option {
	return sasl.Credentials(func() (user, password, identity []byte) {
		return []byte(n.user), []byte(n.password), []byte(n.identity)
	})
}

func bareClient(t testing.TB, mechanism string, n names, opts ...sasl.Option) *sasl.Negotiator {
	t.Helper()
	m, err := auth.ClientMechanism(mechanism)
	require.NoError(t, err)
	return sasl.NewClient(m, append(opts, n.option())...)
}

// A gate is a permissions function that notes what it is asked.
type gate struct {
	shut  bool
	asked []names
}

func (g *gate) permit(n *sasl.Negotiator) bool {
	user, password, identity := n.Credentials()
	g.asked = append(g.asked, names{string(user), string(password), string(identity)})
	return !g.shut
}

func bareServer(t testing.TB, srv *auth.Server, mechanism string, g *gate, opts ...sasl.Option) *sasl.Negotiator {
	t.Helper()
	m, err := srv.Mechanism(t.Context(), mechanism, domain)
	require.NoError(t, err)
	return sasl.NewServer(m, g.permit, opts...)
}

// tlsStates returns both ends of a connection, of a version.
func tlsStates(t testing.TB, version uint16) (client, server tls.ConnectionState) {
	t.Helper()
	link := xmpptest.NewLink(xmpptest.LinkConfig{})
	t.Cleanup(func() { _ = link.Close() })
	cfg := clientTLS()
	cfg.MaxVersion = version
	c, s := tls.Client(link.A, cfg), tls.Server(link.B, serverTLS())
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(t.Context()) }()
	require.NoError(t, c.HandshakeContext(t.Context()))
	require.NoError(t, <-done)
	return c.ConnectionState(), s.ConnectionState()
}

var (
	scrams  = []string{auth.ScramSHA256, auth.ScramSHA1}
	hts     = []string{auth.HTSHA256Exporter, auth.HTSHA256Unique, auth.HTSHA256EndPoint, auth.HTSHA256None}
	theRest = []string{auth.Plain, auth.External, auth.ScramSHA256Plus, auth.ScramSHA1Plus}
)

func TestMechanismNames(t *testing.T) {
	srv := newServer()
	for _, name := range append(append(scrams[:2:2], theRest...), hts...) {
		m, err := auth.ClientMechanism(name)
		require.NoError(t, err)
		assert.Equal(t, name, m.Name)
		m, err = srv.Mechanism(t.Context(), name, domain)
		if strings.HasPrefix(name, "HT-") {
			assert.Error(t, err, "a server knows by SASL2 alone whose token it is")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, name, m.Name)
	}
	for _, name := range []string{"", "plain", "SCRAM-SHA-512", "HT-SHA-512-NONE", "ANONYMOUS"} {
		_, err := auth.ClientMechanism(name)
		assert.Error(t, err, name)
		_, err = srv.Mechanism(t.Context(), name, domain)
		assert.Error(t, err, name)
	}
}

func TestPlain(t *testing.T) {
	good := names{"juliet", password, ""}
	t.Run("message", func(t *testing.T) {
		_, message, err := bareClient(t, auth.Plain, good).Step(nil)
		require.NoError(t, err)
		assert.Equal(t, "\x00juliet\x00"+password, string(message))
		_, message, err = bareClient(t, auth.Plain, names{"juliet", password, "nurse@im.example.com"}).Step(nil)
		require.NoError(t, err)
		assert.Equal(t, "nurse@im.example.com\x00juliet\x00"+password, string(message))
	})
	t.Run("permissions are asked about the identity only", func(t *testing.T) {
		g := new(gate)
		require.NoError(t, letTalk(bareClient(t, auth.Plain, names{"juliet", password, "nurse"}), bareServer(t, newServer(), auth.Plain, g)).err())
		assert.Equal(t, []names{{"juliet", "", "nurse"}}, g.asked)
	})
	t.Run("a name is compared as an address is", func(t *testing.T) {
		g := new(gate)
		require.NoError(t, letTalk(bareClient(t, auth.Plain, names{"ＪULIET", password, ""}), bareServer(t, newServer(), auth.Plain, g)).err())
		assert.Equal(t, []names{{user: "juliet"}}, g.asked)
	})
	t.Run("refused", func(t *testing.T) {
		for _, n := range []names{
			{"juliet", password + " ", ""},
			{"juliet", strings.ToUpper(password), ""},
			{"romeo", password, ""},
			{"juliet@im.example.com", password, ""},
			{"\u202ejuliet", password, ""},
		} {
			g := new(gate)
			x := letTalk(bareClient(t, auth.Plain, n), bareServer(t, newServer(), auth.Plain, g))
			assert.Equal(t, sasl.ErrAuthn, x.serverErr, "each refusal is the same")
			assert.Empty(t, g.asked, "permissions are not asked before the password is known to be good")
		}
		x := letTalk(bareClient(t, auth.Plain, good), bareServer(t, newServer(), auth.Plain, &gate{shut: true}))
		assert.Equal(t, sasl.ErrAuthn, x.serverErr, "permissions have the last word")
	})
	t.Run("malformed", func(t *testing.T) {
		for _, message := range []string{
			"", "\x00", "\x00\x00", "juliet", "juliet\x00" + password, "\x00juliet\x00", "\x00\x00" + password,
			"\x00juliet\x00" + password + "\x00", "\x00juliet\x00" + password + "\x00x",
			"\x00juliet\xff\x00" + password, "\xff\x00juliet\x00" + password, "\x00juliet\x00" + password + "\xff",
		} {
			g := new(gate)
			_, _, err := bareServer(t, newServer(), auth.Plain, g).Step([]byte(message))
			assert.Error(t, err, "%q", message)
			assert.NotErrorIs(t, err, sasl.ErrAuthn, "%q", message)
			assert.Empty(t, g.asked)
		}
	})
	t.Run("nothing is sent that says something else", func(t *testing.T) {
		_, _, err := bareClient(t, auth.Plain, names{"juliet", "", ""}).Step(nil)
		assert.ErrorIs(t, err, auth.ErrNoPassword)
		for _, n := range []names{{"jul\x00iet", password, ""}, {"juliet", "a\x00b", ""}, {"juliet", password, "\x00"}} {
			_, message, err := bareClient(t, auth.Plain, n).Step(nil)
			assert.Error(t, err)
			assert.Empty(t, message)
		}
	})
	t.Run("a peer of mellium's", func(t *testing.T) {
		g := new(gate)
		require.NoError(t, letTalk(bareClient(t, auth.Plain, good), sasl.NewServer(sasl.Plain, g.permit)).err())
		assert.Equal(t, []names{good}, g.asked)
		require.NoError(t, letTalk(sasl.NewClient(sasl.Plain, good.option()), bareServer(t, newServer(), auth.Plain, new(gate))).err())
	})
	t.Run("a store that fails is no refusal", func(t *testing.T) {
		srv := newServer()
		srv.Credentials = brokenStore{}
		x := letTalk(bareClient(t, auth.Plain, good), bareServer(t, srv, auth.Plain, new(gate)))
		assert.ErrorIs(t, x.serverErr, errBroken)
		assert.NotErrorIs(t, x.serverErr, sasl.ErrAuthn)
	})
	t.Run("keys for either mechanism do", func(t *testing.T) {
		for _, name := range scrams {
			k, err := auth.NewKeys(password, name, iterations)
			require.NoError(t, err)
			a := new(auth.Accounts)
			require.NoError(t, a.SetKeys(juliet, name, k))
			srv := &auth.Server{Credentials: a, Iterations: iterations}
			assert.NoError(t, letTalk(bareClient(t, auth.Plain, good), bareServer(t, srv, auth.Plain, new(gate))).err(), name)
			x := letTalk(bareClient(t, auth.Plain, names{"juliet", "wrong", ""}), bareServer(t, srv, auth.Plain, new(gate)))
			assert.Equal(t, sasl.ErrAuthn, x.serverErr, name)
		}
	})
}

var errBroken = errors.New("the disk is full")

// brokenStore fails.
type brokenStore struct{}

func (brokenStore) Keys(context.Context, jid.JID, string) (auth.Keys, error) {
	return auth.Keys{}, errBroken
}

func TestExternalMechanism(t *testing.T) {
	_, state := tlsStates(t, tls.VersionTLS13)
	var asked []string
	srv := &auth.Server{External: func(_ context.Context, _ *xmpp.Session, state tls.ConnectionState, identity string) (jid.JID, error) {
		asked = append(asked, identity)
		if !state.HandshakeComplete || identity == "nurse" {
			return jid.JID{}, errBroken
		}
		return balcony, nil
	}}
	g := new(gate)
	x := letTalk(bareClient(t, auth.External, names{"juliet", password, ""}), bareServer(t, srv, auth.External, g, sasl.TLSState(state)))
	require.NoError(t, x.err())
	assert.Equal(t, []string{"", ""}, x.said, "nothing is said but whom to act as")
	assert.Equal(t, []names{{user: "juliet"}}, g.asked)

	g = new(gate)
	x = letTalk(bareClient(t, auth.External, names{identity: "juliet@im.example.com"}), bareServer(t, srv, auth.External, g, sasl.TLSState(state)))
	require.NoError(t, x.err())
	assert.Equal(t, []names{{"juliet", "", "juliet@im.example.com"}}, g.asked)
	assert.Equal(t, []string{"", "juliet@im.example.com"}, asked)

	for _, test := range []struct {
		rule   string
		srv    *auth.Server
		client names
		opts   []sasl.Option
		g      gate
	}{
		{"an error refuses", srv, names{identity: "nurse"}, []sasl.Option{sasl.TLSState(state)}, gate{}},
		{"without TLS there is nobody", srv, names{}, nil, gate{}},
		{"without a function nobody is let in", new(auth.Server), names{}, []sasl.Option{sasl.TLSState(state)}, gate{}},
		{"permissions have the last word", srv, names{}, []sasl.Option{sasl.TLSState(state)}, gate{shut: true}},
	} {
		x := letTalk(bareClient(t, auth.External, test.client), bareServer(t, test.srv, auth.External, &test.g, test.opts...))
		assert.Equal(t, sasl.ErrAuthn, x.serverErr, test.rule)
	}
	for _, message := range []string{"juliet\x00", "\xff"} {
		_, _, err := bareServer(t, srv, auth.External, new(gate), sasl.TLSState(state)).Step([]byte(message))
		assert.Error(t, err)
		assert.NotErrorIs(t, err, sasl.ErrAuthn, "what makes no sense is not refused but malformed")
	}
}

// TestStepsTooOften has a client go on behind the end.
func TestStepsTooOften(t *testing.T) {
	client, server := tlsStates(t, tls.VersionTLS13)
	srv := newServer()
	srv.External = func(context.Context, *xmpp.Session, tls.ConnectionState, string) (jid.JID, error) { return juliet, nil }
	for _, name := range append(theRest, scrams...) {
		for _, message := range []string{"", "r=abc,s=abcd,i=4096", "v=abcd"} {
			c := bareClient(t, name, names{"juliet", password, ""}, sasl.TLSState(client), sasl.RemoteMechanisms(name))
			require.NoError(t, letTalk(c, bareServer(t, srv, name, new(gate), sasl.TLSState(server))).err(), name)
			_, out, err := c.Step([]byte(message))
			assert.Error(t, err, name)
			assert.Empty(t, out)
		}
	}
	for _, name := range hts {
		client, _ := tlsStates(t, htVersion(name))
		c := bareClient(t, name, names{"juliet", "token", ""}, sasl.TLSState(client))
		_, _, err := c.Step(nil)
		require.NoError(t, err)
		proof := htProof("token", "Responder", htData(t, name, client))
		_, _, err = c.Step(proof)
		require.NoError(t, err)
		_, _, err = c.Step(proof)
		assert.Error(t, err, name)
	}
}

func TestServerMechanismOnClient(t *testing.T) {
	srv := newServer()
	for _, name := range append(theRest, scrams...) {
		m, err := srv.Mechanism(t.Context(), name, domain)
		require.NoError(t, err)
		_, out, err := sasl.NewClient(m, names{"juliet", password, ""}.option()).Step(nil)
		assert.Error(t, err, "%s: the server's side only checks", name)
		assert.Empty(t, out)
	}
}

// stockPair negotiates with features for SASL, in memory, and the client's way to
// bind.
func stockPair(t *testing.T, client xmpp.StreamFeature, server xmpp.Negotiator) (*xmpptest.Pair, error) {
	t.Helper()
	p, err := xmpptest.TryPair(t.Context(), xmpptest.PairConfig{
		Location: domain, Client: juliet,
		ClientNegotiator: xmpptest.Stock(client, xmpp.BindResource()), ServerNegotiator: server,
	})
	t.Cleanup(func() { _ = p.Close() })
	return p, err
}

// TestMechanismsInStock uses the mechanisms where nothing else of the package is.
func TestMechanismsInStock(t *testing.T) {
	srv := newServer()
	mechanism := func(t *testing.T, name string) sasl.Mechanism {
		t.Helper()
		m, err := srv.Mechanism(t.Context(), name, domain)
		require.NoError(t, err)
		return m
	}
	servers := map[string]func(t *testing.T, name string, g *gate) xmpp.Negotiator{
		"xmpp.SASLServer": func(t *testing.T, name string, g *gate) xmpp.Negotiator {
			return xmpptest.Stock(xmpp.SASLServer(g.permit, mechanism(t, name)), xmpp.BindResource())
		},
		"pipelining.SASLServer": func(t *testing.T, name string, g *gate) xmpp.Negotiator {
			return pipelining.Negotiator(xmpptest.Stock(pipelining.SASLServer(func(s *xmpp.Session, n *sasl.Negotiator) (jid.JID, bool) {
				user, _, _ := n.Credentials()
				account, err := jid.New(string(user), s.LocalAddr().Domainpart(), "")
				return account, err == nil && g.permit(n)
			}, mechanism(t, name)), xmpp.BindResource()), pipelining.Config{})
		},
	}
	clients := map[string]func(t *testing.T, name, password string) xmpp.StreamFeature{
		"our mechanism": func(t *testing.T, name, password string) xmpp.StreamFeature {
			m, err := auth.ClientMechanism(name)
			require.NoError(t, err)
			return xmpp.SASL("", password, m)
		},
		"mellium's mechanism": func(_ *testing.T, name, password string) xmpp.StreamFeature {
			return xmpp.SASL("", password, map[string]sasl.Mechanism{
				auth.Plain: sasl.Plain, auth.ScramSHA256: sasl.ScramSha256, auth.ScramSHA1: sasl.ScramSha1,
			}[name])
		},
	}
	for serverName, server := range servers {
		for clientName, client := range clients {
			for _, name := range []string{auth.Plain, auth.ScramSHA256, auth.ScramSHA1} {
				t.Run(serverName+"/"+clientName+"/"+name, func(t *testing.T) {
					g := new(gate)
					p, err := stockPair(t, client(t, name, password), server(t, name, g))
					require.NoError(t, err)
					assert.Equal(t, []names{{user: "juliet"}}, g.asked)
					assert.True(t, p.Server.RemoteAddr().Bare().Equal(juliet))

					g = new(gate)
					p, err = stockPair(t, client(t, name, "wrong"), server(t, name, g))
					require.Error(t, err)
					assert.ErrorIs(t, p.ServerErr, sasl.ErrAuthn)
					assert.ErrorContains(t, p.ClientErr, auth.NotAuthorized, "the client is told")
					assert.Empty(t, g.asked)
				})
			}
		}
	}
}

// TestMechanismsConcurrently shares client mechanisms, a server and its accounts.
func TestMechanismsConcurrently(t *testing.T) {
	client, server := tlsStates(t, tls.VersionTLS13)
	srv := newServer()
	mechanisms := make(map[string]sasl.Mechanism)
	for _, name := range append(theRest, scrams...) {
		if name != auth.External {
			m, err := auth.ClientMechanism(name)
			require.NoError(t, err)
			mechanisms[name] = m
		}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		for name, m := range mechanisms {
			wg.Go(func() {
				who, want := names{"juliet", password, ""}, error(nil)
				switch i % 3 {
				case 1:
					who.password, want = fmt.Sprint("wrong", i), sasl.ErrAuthn
				case 2:
					who.user, want = fmt.Sprint("romeo", i), sasl.ErrAuthn
				}
				c := sasl.NewClient(m, who.option(), sasl.TLSState(client), sasl.RemoteMechanisms(name))
				x := letTalk(c, bareServer(t, srv, name, new(gate), sasl.TLSState(server)))
				assert.Equal(t, want, x.serverErr, name)
				assert.NoError(t, x.clientErr, name)
			})
		}
	}
	wg.Wait()
}

// TestServerStepsTooOften has a server go on behind the end.
func TestServerStepsTooOften(t *testing.T) {
	client, server := tlsStates(t, tls.VersionTLS13)
	srv := newServer()
	srv.External = func(context.Context, *xmpp.Session, tls.ConnectionState, string) (jid.JID, error) { return juliet, nil }
	for _, name := range append(theRest, scrams...) {
		for _, message := range []string{"", "\x00juliet\x00" + password, "n,,n=juliet,r=abc", "c=biws,r=abc,p=abcd"} {
			c := bareClient(t, name, names{"juliet", password, ""}, sasl.TLSState(client), sasl.RemoteMechanisms(name))
			g := new(gate)
			s := bareServer(t, srv, name, g, sasl.TLSState(server))
			require.NoError(t, letTalk(c, s).err(), name)
			_, out, err := s.Step([]byte(message))
			assert.Error(t, err, "%s, %q", name, message)
			assert.Empty(t, out)
			assert.Len(t, g.asked, 1, "%s: nobody logs in twice", name)
		}
	}
}
