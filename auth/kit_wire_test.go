// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// What raw clients say.
const (
	opening  = `<stream:stream to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	closing  = `</stream:stream>`
	askBind  = `<iq id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>`
	askRide  = `<ride xmlns='urn:example:ride'><tag>balcony</tag></ride>`
	agent    = `<user-agent id='` + agentID + `'><software>Balcony</software><device>Juliet&apos;s phone</device></user-agent>`
	useToken = `<fast xmlns='urn:xmpp:fast:0'/>`
)

// openingFrom is the opening of a client that says who it is.
func openingFrom(from string) string {
	return strings.Replace(opening, " to=", " from='"+from+"' to=", 1)
}

// auth6120 is what begins in the profile of RFC 6120; text is in base64.
func auth6120(mechanism, text string) string {
	return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='" + mechanism + "'>" + text + "</auth>"
}

// authenticate2 is what begins in SASL2, with more children behind the initial
// response.
func authenticate2(mechanism, text string, more ...string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" + text + "</initial-response>" +
		strings.Join(more, "") + "</authenticate>"
}

// requestToken asks for a token.
func requestToken(mechanism string) string {
	return "<request-token xmlns='urn:xmpp:fast:0' mechanism='" + mechanism + "'/>"
}

func base64Of[T string | []byte](s T) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// plain is the message of PLAIN, in base64.
func plain(user, pass string) string { return base64Of("\x00" + user + "\x00" + pass) }

// What servers say to raw clients, stream ids left out. Without TLS there is no
// channel binding.
const (
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"

	headed      = `<?xml version="1.0" encoding="UTF-8"?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='${id}' from='im.example.com'>`
	listsNames  = `<mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism>`
	listsTokens = `<fast xmlns="urn:xmpp:fast:0"><mechanism>HT-SHA-256-NONE</mechanism></fast>`
	lists2      = `<authentication xmlns="urn:xmpp:sasl:2">` + listsNames + `<inline>` + listsTokens + `</inline></authentication>`
	lists6120   = `<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl">` + listsNames + `</mechanisms>`
	listsOthers = `<pipelining xmlns="urn:xmpp:features:pipelining"></pipelining></stream:features>`
	offered     = headed + `<stream:features>` + lists2 + lists6120 + listsOthers
	listsBind   = `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"></bind>` + listsOthers
	bound       = `<iq xmlns="jabber:client" type="result" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>juliet@im.example.com/balcony</jid></bind></iq>`

	// What comes behind success without inline binding.
	success6120 = `<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`
	success2    = `<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@im.example.com</authorization-identifier></success>` + listsBind
)

// failed6120 and failed2 are failures.
func failed6120(condition string) string {
	return `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><` + condition + ` xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>`
}

func failed2(condition string) string {
	return `<failure xmlns='urn:xmpp:sasl:2'><` + condition + ` xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>`
}

// ends is how a stream ends with a stream error.
func (r receiver) ends(condition string) string {
	if r.stock { // Nobody but package auth says it.
		return `<stream:error><` + condition + ` xmlns='` + nsStreams + `'/></stream:error></stream:stream>`
	}
	return `<stream:error><` + condition + ` xmlns="` + nsStreams + `"></` + condition + `></stream:error></stream:stream>`
}

// A way is one of the two profiles, as a client writes it.
type way struct {
	name     string
	profile  auth.Profile
	ns       string
	begin    func(mechanism, text string) string
	failed   func(condition string) string
	response func(text string) string
}

func (w way) abort() string { return "<abort xmlns='" + w.ns + "'/>" }

var (
	way6120 = way{
		"RFC 6120", auth.RFC6120, auth.NSSASL, auth6120, failed6120,
		func(text string) string { return "<response xmlns='" + auth.NSSASL + "'>" + text + "</response>" },
	}
	way2 = way{
		"SASL2", auth.SASL2, auth.NSSASL2, func(mechanism, text string) string { return authenticate2(mechanism, text) }, failed2,
		func(text string) string { return "<response xmlns='" + auth.NSSASL2 + "'>" + text + "</response>" },
	}
	ways = []way{way6120, way2}
)

// other is the other profile.
func (w way) other() way {
	if w.profile == auth.SASL2 {
		return way6120
	}
	return way2
}

// inBubble runs a test with a clock of its own.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

var streamID = regexp.MustCompile(`(<stream:stream[^>]* id=')[^']*'`)

// withoutIDs leaves the ids of streams out.
func withoutIDs(s string) string { return streamID.ReplaceAllString(s, "${1}$${id}'") }

// between returns what stands between two marks.
func between(t testing.TB, s, before, after string) string {
	t.Helper()
	_, tail, found := strings.Cut(s, before)
	require.True(t, found, "%q in %q", before, s)
	text, _, found := strings.Cut(tail, after)
	require.True(t, found, "%q in %q", after, s)
	return text
}

// A rawClient speaks bytes to a server.
type rawClient struct {
	t testing.TB
	net.Conn
	ahead []byte              // what was read and has not been waited for
	heard bytes.Buffer        // all that was
	said  xmpptest.Transcript // by both
}

// say sends all of s in one write.
func (c *rawClient) say(s ...string) {
	c.t.Helper()
	text := strings.Join(s, "")
	c.said = append(c.said, xmpptest.Line{Side: xmpptest.Client, Text: xmpptest.Literal(text)})
	_, err := io.WriteString(c.Conn, text)
	require.NoError(c.t, err)
}

// until reads until mark was read, and returns all that was read for it.
func (c *rawClient) until(mark string) string {
	c.t.Helper()
	buf := make([]byte, 4096)
	for {
		if i := bytes.Index(c.ahead, []byte(mark)); i >= 0 {
			return c.hear(i + len(mark))
		}
		n, err := c.Read(buf)
		c.ahead = append(c.ahead, buf[:n]...)
		if n == 0 {
			require.NoErrorf(c.t, err, "waiting for %q, heard %q", mark, c.ahead)
		}
	}
}

// hear takes n bytes of what has been read.
func (c *rawClient) hear(n int) string {
	got := string(c.ahead[:n])
	c.ahead = c.ahead[n:]
	if n > 0 {
		c.heard.WriteString(got)
		c.said = append(c.said, xmpptest.Line{Side: xmpptest.Server, Text: xmpptest.Literal(got)})
	}
	return got
}

// open opens a stream, from somebody or nobody, and reads the features.
func (c *rawClient) open(from string) string {
	c.t.Helper()
	if from == "" {
		c.say(opening)
	} else {
		c.say(openingFrom(from))
	}
	return c.until("</stream:features>")
}

// bind binds a resource, which makes the server's session ready.
func (c *rawClient) bind() {
	c.t.Helper()
	c.say(askBind)
	c.until("</iq>")
}

// message reads an element and returns what it has in base64.
func (c *rawClient) message(local string) string {
	c.t.Helper()
	c.until("<" + local)
	c.until(">")
	text := strings.TrimSuffix(c.until("</"+local+">"), "</"+local+">")
	data, err := base64.StdEncoding.DecodeString(text)
	require.NoError(c.t, err)
	return string(data)
}

// rest reads up to the end of the connection.
func (c *rawClient) rest() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.Conn)
	c.ahead = append(c.ahead, rest...)
	got := c.hear(len(c.ahead))
	if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF) { // The client has hung up itself, or TLS misses its end.
		assert.NoError(c.t, err)
	}
	return got
}

// A receiver is a server that raw clients try. Its zero value is the server of
// all tests, with package pipelining's negotiator, over a connection that is said
// to be secure.
type receiver struct {
	auth  *auth.Server
	stock bool // mellium's own negotiator
	// negotiator is used in place of those.
	negotiator xmpp.Negotiator
	tls        *tls.Config // direct TLS
	// clientTLS is of the raw client; if it is nil, it is that of all tests.
	clientTLS *tls.Config
	insecure  bool // nobody has said that the connection is secure
	s2s       bool
	cfg       pipelining.Config
	link      xmpptest.LinkConfig
	ctx       context.Context
}

// An outcome is what came of a visit to a receiver.
type outcome struct {
	Session *xmpp.Session
	Err     error
	Heard   string // what the server has said, stream ids left out
	Said    xmpptest.Transcript
	Tries   []try
	Took    time.Duration
	Left    bool // the server neither hung up nor was ready when the client was done
}

// patience is how long a raw client waits for a server to hang up.
const patience = 10 * time.Second

// A try is what a server was told of an attempt to log in.
type try struct {
	auth.Login
	Err error
}

// results are the errors of all tries.
func (o *outcome) results() (list []error) {
	for _, t := range o.Tries {
		list = append(list, t.Err)
	}
	return list
}

// visit lets a raw client talk to r, until r has hung up or is ready, or the
// client is done and has waited long enough.
func (r receiver) visit(t testing.TB, talk func(c *rawClient)) *outcome {
	t.Helper()
	c, end := r.start(t)
	talk(c)
	return end()
}

// start begins a visit. End waits for what comes of it.
func (r receiver) start(t testing.TB) (c *rawClient, end func() *outcome) {
	t.Helper()
	if r.auth == nil {
		r.auth = newServer()
	}
	o := new(outcome)
	ctx := r.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	ctx = observed(ctx, r.auth, o)
	link := xmpptest.NewLink(r.link)
	t.Cleanup(func() { _ = link.Close() })
	_ = link.A.SetReadDeadline(time.Now().Add(2 * pipelining.DefaultTimeout))
	done := make(chan struct{})
	go func() {
		defer close(done)
		start := time.Now()
		o.Session, o.Err = r.receive(ctx, link.B)
		o.Took = time.Since(start)
		if o.Err != nil {
			_ = link.B.Close()
		}
	}()
	c = &rawClient{t: t, Conn: link.A}
	if r.tls != nil {
		config := r.clientTLS
		if config == nil {
			config = clientTLS()
		}
		c.Conn = tls.Client(link.A, config)
	}
	return c, func() *outcome {
		t.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			o.Left = true
			_ = link.CloseWrite(xmpptest.Client)
			<-done
		}
		if o.Err == nil {
			_ = link.CloseWrite(xmpptest.Server) // It has said all that there was to say.
		}
		c.rest()
		o.Heard, o.Said = withoutIDs(c.heard.String()), c.said
		return o
	}
}

// observers are the servers that tell outcomes of tries.
var observers struct {
	sync.Mutex
	known map[*auth.Server]bool
}

type outcomeKey struct{}

// observed lets srv tell o of its tries in ctx.
func observed(ctx context.Context, srv *auth.Server, o *outcome) context.Context {
	observers.Lock()
	defer observers.Unlock()
	if !observers.known[srv] {
		if observers.known == nil {
			observers.known = make(map[*auth.Server]bool)
		}
		observers.known[srv] = true
		before := srv.Observe
		srv.Observe = func(ctx context.Context, s *xmpp.Session, l auth.Login, err error) {
			o := ctx.Value(outcomeKey{}).(*outcome)
			o.Tries = append(o.Tries, try{l, err})
			if before != nil {
				before(ctx, s, l, err)
			}
		}
	}
	return context.WithValue(ctx, outcomeKey{}, o)
}

// receive negotiates a session on c.
func (r receiver) receive(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
	var (
		rw    io.ReadWriter = c
		state xmpp.SessionState
	)
	switch {
	case r.tls != nil && (r.stock || r.negotiator != nil):
		rw = tls.Server(c, r.tls)
	case r.tls != nil:
		rw = tls.Server(pipelining.NewConn(c), r.tls)
	case !r.insecure:
		state = xmpp.Secure
	}
	if r.s2s {
		state |= xmpp.S2S
	}
	if t, ok := rw.(*tls.Conn); ok {
		// Direct TLS is up before there is a stream.
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
	}
	if r.negotiator != nil {
		return xmpp.ReceiveSession(ctx, rw, state, r.negotiator)
	}
	if r.stock {
		return xmpp.ReceiveSession(ctx, rw, state, xmpp.NewNegotiator(serverConfig(r.auth)))
	}
	return xmpp.ReceiveSession(ctx, rw, state, pipelining.NewNegotiator(serverConfig(r.auth), r.cfg))
}

// A scramLogin is the client's side of SCRAM, written down without the library
// that the package uses.
type scramLogin struct {
	mechanism string
	gs2       string // such as n,,
	user      string // as it stands in the message
	password  string
	binding   []byte // the channel binding's data
	nonce     string

	bare, server, final, verifier string
}

func newScram(mechanism, user, password string) *scramLogin {
	return &scramLogin{mechanism: mechanism, gs2: "n,,", user: user, password: password, nonce: "fyko+d2lbbFgONRv9qkxdawL"}
}

func (s *scramLogin) hash() func() hash.Hash {
	if strings.Contains(s.mechanism, "SHA-256") {
		return sha256.New
	}
	return sha1.New
}

// first is the first message.
func (s *scramLogin) first() string {
	s.bare = "n=" + s.user + ",r=" + s.nonce
	return s.gs2 + s.bare
}

// last is the last message, in answer to a challenge.
func (s *scramLogin) last(t testing.TB, challenge string) string {
	t.Helper()
	s.server = challenge
	var iterations int
	fields := strings.SplitN(challenge, ",", 3)
	require.Len(t, fields, 3, challenge)
	nonce := strings.TrimPrefix(fields[0], "r=")
	require.True(t, strings.HasPrefix(nonce, s.nonce), "the server goes on from the client's nonce")
	salt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(fields[1], "s="))
	require.NoError(t, err)
	_, err = fmt.Sscanf(fields[2], "i=%d", &iterations)
	require.NoError(t, err)

	k := keysOf(t, s.hash(), s.password, salt, iterations)
	without := "c=" + base64Of(s.gs2+string(s.binding)) + ",r=" + nonce
	message := s.bare + "," + challenge + "," + without
	proof := mac(s.hash(), k.StoredKey, message)
	clientKey := mac(s.hash(), k.salted, "Client Key")
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.verifier = "v=" + base64Of(mac(s.hash(), k.ServerKey, message))
	s.final = without + ",p=" + base64Of(proof)
	return s.final
}

// derived are keys with what they come from.
type derived struct {
	auth.Keys
	salted []byte
}

// keysOf derives keys without the package (RFC 5802, section 3).
func keysOf(t testing.TB, h func() hash.Hash, password string, salt []byte, iterations int) derived {
	t.Helper()
	salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
	require.NoError(t, err)
	stored := h()
	stored.Write(mac(h, salted, "Client Key"))
	return derived{auth.Keys{
		Salt: salt, Iterations: iterations,
		StoredKey: stored.Sum(nil), ServerKey: mac(h, salted, "Server Key"),
	}, salted}
}

func mac(h func() hash.Hash, key []byte, message string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// scram logs in by SCRAM, up to and with the last message, and returns the
// challenge.
func (c *rawClient) scram(w way, s *scramLogin) string {
	c.t.Helper()
	c.say(w.begin(s.mechanism, base64Of(s.first())))
	challenge := c.message("challenge")
	c.say(w.response(base64Of(s.last(c.t, challenge))))
	return challenge
}

// with is SASL2 whose authenticate has more children.
func (w way) with(more ...string) way {
	w.begin = func(mechanism, text string) string { return authenticate2(mechanism, text, more...) }
	return w
}

// ht is the message of an HT mechanism, in base64, and what the server's answer
// must be.
func ht(user, token string, binding []byte) (text, answer string) {
	return base64Of(user + "\x00" + string(mac(sha256.New, []byte(token), "Initiator"+string(binding)))),
		base64Of(mac(sha256.New, []byte(token), "Responder"+string(binding)))
}

// success reads a success of SASL2 and returns it; the features behind it are
// read as well.
func (c *rawClient) success() string {
	c.t.Helper()
	s := c.until("</success>")
	c.until("</stream:features>")
	return s
}

// token reads the token out of a success.
func tokenIn(t testing.TB, success string) string {
	t.Helper()
	return between(t, success, ` token="`, `"`)
}

// getToken asks for a token on a stream of its own.
func (r receiver) getToken(t testing.TB, mechanism string) string {
	t.Helper()
	return tokenIn(t, r.logIn(t, authenticate2(auth.Plain, plain("juliet", password), agent, requestToken(mechanism))))
}

// useToken logs in with a token by HT-SHA-256-NONE on a stream of its own, and
// returns the answer. More is by default what there has to be.
func (r receiver) useToken(t testing.TB, token string, more ...string) string {
	t.Helper()
	text, _ := ht("juliet", token, nil)
	if len(more) == 0 {
		more = []string{agent, useToken}
	}
	return r.logIn(t, authenticate2(auth.HTSHA256None, text, more...))
}

// logIn says one thing on a stream of its own, and returns the success or the
// failure that is the answer.
func (r receiver) logIn(t testing.TB, say string) string {
	t.Helper()
	var heard string
	r.visit(t, func(c *rawClient) {
		c.open(juliet.String())
		c.say(say)
		heard = c.until(">")
		if strings.HasPrefix(heard, "<failure") {
			heard += c.until("</failure>")
			c.say(closing)
			return
		}
		heard += c.until("</success>")
		c.until("</stream:features>")
		c.bind()
	})
	return heard
}

// golden compares what was said with a golden transcript.
func (o *outcome) golden(t testing.TB, file string) {
	t.Helper()
	xmpptest.Compare(t, "testdata/"+file, o.Said.SplitElements())
}
