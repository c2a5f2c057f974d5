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
	"encoding/xml"
	"hash"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// What scripted servers say.
const (
	actorHeader  = `<stream:stream from='im.example.com' id='s1' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	offersToBind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>`
	offersRide   = `<ride xmlns='urn:example:ride'/>`
	ridden       = `<ridden xmlns='urn:example:ride'/>`
	streamEnd    = `</stream:stream>`
)

// features is a list of features.
func features(list ...string) string {
	return "<stream:features>" + strings.Join(list, "") + "</stream:features>"
}

func mechanismsOf(names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("<mechanism>" + name + "</mechanism>")
	}
	return b.String()
}

// modern is the feature of SASL2. Inline may be empty.
func modern(inline string, mechanisms ...string) string {
	if inline != "" {
		inline = "<inline>" + inline + "</inline>"
	}
	return "<authentication xmlns='urn:xmpp:sasl:2'>" + mechanismsOf(mechanisms) + inline + "</authentication>"
}

// legacy is the feature of RFC 6120.
func legacy(mechanisms ...string) string {
	return "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + mechanismsOf(mechanisms) + "</mechanisms>"
}

// fast is the inline feature of FAST.
func fast(mechanisms ...string) string {
	return "<fast xmlns='urn:xmpp:fast:0'>" + mechanismsOf(mechanisms) + "</fast>"
}

// bindings is the list of channel bindings.
func bindings(types ...string) string {
	var b strings.Builder
	for _, name := range types {
		b.WriteString("<channel-binding type='" + name + "'/>")
	}
	return "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>" + b.String() + "</sasl-channel-binding>"
}

// A dialect is how a profile writes what both can say.
type dialect struct {
	name, ns, feature, begin string
	plan                     bool
}

var (
	sasl1    = dialect{"RFC 6120", auth.NSSASL, "mechanisms", "auth", false}
	sasl2    = dialect{"SASL2", auth.NSSASL2, "authentication", "authenticate", true}
	dialects = []dialect{sasl1, sasl2}
)

// offer offers mechanisms in one dialect only.
func (d dialect) offer(mechanisms ...string) string {
	if d == sasl2 {
		return features(modern("", mechanisms...))
	}
	return features(legacy(mechanisms...))
}

func (d dialect) element(local, inner string) string {
	if inner == "" {
		return "<" + local + " xmlns='" + d.ns + "'/>"
	}
	return "<" + local + " xmlns='" + d.ns + "'>" + inner + "</" + local + ">"
}

func (d dialect) challenge(message string) string { return d.element("challenge", encoded(message)) }

// failure fails with a condition, and what else is to be in it.
func (d dialect) failure(condition string, more ...string) string {
	return d.element("failure", "<"+condition+" xmlns='"+auth.NSSASL+"'/>"+strings.Join(more, ""))
}

// success succeeds. The message is left out if it is empty.
func (d dialect) success(message string, more ...string) string {
	if d == sasl1 {
		return d.element("success", encoded(message))
	}
	return succeeds(message, juliet.String(), more...)
}

// succeeds is success of SASL2.
func succeeds(message, identifier string, more ...string) string {
	inner := strings.Join(more, "")
	if message != "" {
		inner = "<additional-data>" + encoded(message) + "</additional-data>" + inner
	}
	if identifier != "" {
		inner += "<authorization-identifier>" + identifier + "</authorization-identifier>"
	}
	return sasl2.element("success", inner)
}

func encoded(message string) string { return base64.StdEncoding.EncodeToString([]byte(message)) }

// token gives out a token until a time.
func token(secret, expiry string) string {
	return "<token xmlns='urn:xmpp:fast:0' token='" + secret + "' expiry='" + expiry + "'/>"
}

// An actor is a server that follows a script.
type actor struct {
	t testing.TB
	net.Conn
	heard bytes.Buffer // all that was read
}

// say sends all of s in one write.
func (a *actor) say(s ...string) {
	a.t.Helper()
	_, err := io.WriteString(a.Conn, strings.Join(s, ""))
	require.NoError(a.t, err)
}

// try is say to somebody who may have hung up.
func (a *actor) try(s ...string) { _, _ = io.WriteString(a.Conn, strings.Join(s, "")) }

// until reads up to mark, and returns all that it has read.
func (a *actor) until(mark string) string {
	a.t.Helper()
	start := a.heard.Len()
	b := make([]byte, 1)
	for {
		got := a.heard.Bytes()[start:]
		if bytes.HasSuffix(got, []byte(mark)) {
			return string(got)
		}
		_, err := io.ReadFull(a.Conn, b)
		require.NoErrorf(a.t, err, "waiting for %q, heard %q", mark, got)
		a.heard.Write(b)
	}
}

// header reads a stream header.
func (a *actor) header() string {
	a.t.Helper()
	return a.until("<stream:stream") + a.until(">")
}

// open reads a stream header, answers it and lists features.
func (a *actor) open(list string) string {
	a.t.Helper()
	h := a.header()
	a.say(actorHeader, list)
	return h
}

// next reads one element, which must come without white space before it.
func (a *actor) next(local string) string {
	a.t.Helper()
	tag := a.until(">")
	require.True(a.t, strings.HasPrefix(tag, "<"+local+" "), "%s in place of %s", tag, local)
	if strings.HasSuffix(tag, "/>") {
		return tag
	}
	return tag + a.until("</"+local+">")
}

// nextIf is next to a client that may have nothing more to say; then it returns
// nothing.
func (a *actor) nextIf(local string) string {
	a.t.Helper()
	b := make([]byte, 1)
	if _, err := io.ReadFull(a.Conn, b); err != nil {
		return ""
	}
	a.heard.Write(b)
	tag := string(b) + a.until(">")
	require.True(a.t, strings.HasPrefix(tag, "<"+local+" "), "%s in place of %s", tag, local)
	if strings.HasSuffix(tag, "/>") {
		return tag
	}
	return tag + a.until("</"+local+">")
}

// refuse refuses all logins with a mechanism, and returns what begins the one with
// another, or nothing. What was sent ahead is commonly tried once more when it is
// known what there is.
func (a *actor) refuse(d dialect, mechanism, condition string) string {
	a.t.Helper()
	for range 2 {
		a.say(d.failure(condition))
		e := a.nextIf(d.begin)
		if e == "" || attrOf(a.t, e, "mechanism") != mechanism {
			return e
		}
	}
	require.Fail(a.t, "refused, and tried again: "+mechanism)
	return ""
}

// begin reads the first element of a login, and returns its message.
func (a *actor) begin(d dialect, mechanism string) string {
	a.t.Helper()
	e := a.next(d.begin)
	require.Contains(a.t, e, " mechanism='"+mechanism+"'")
	if d == sasl2 {
		e = within(a.t, e, "initial-response")
	}
	return message(a.t, e)
}

// response reads a response and returns its message.
func (a *actor) response(d dialect) string {
	a.t.Helper()
	e := a.next("response")
	require.Contains(a.t, e, "xmlns='"+d.ns+"'")
	return message(a.t, e)
}

// bind answers a request to bind by RFC 6120.
func (a *actor) bind(address jid.JID) {
	a.t.Helper()
	iq := a.until("</iq>")
	require.Contains(a.t, iq, "urn:ietf:params:xml:ns:xmpp-bind")
	a.say("<iq type='result' id='" + attrOf(a.t, iq, "id") + "'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>" + address.String() + "</jid></bind></iq>")
}

// settle lets a client bind behind a login in the way of its dialect.
func (a *actor) settle(d dialect) {
	a.t.Helper()
	if d == sasl1 {
		a.header()
		a.say(actorHeader)
	}
	a.say(features(offersToBind))
	a.bind(balcony)
}

// acceptTLS is the server's side of a handshake.
func (a *actor) acceptTLS(cfg *tls.Config) error {
	c := tls.Server(a.Conn, cfg)
	if err := c.Handshake(); err != nil {
		return err
	}
	a.Conn = c
	return nil
}

// within returns the first child of a name of an element.
func within(t testing.TB, e, local string) string {
	t.Helper()
	begin := strings.Index(e, "<"+local)
	require.GreaterOrEqual(t, begin, 0, "%s is not in %s", local, e)
	e = e[begin:]
	if tag := e[:strings.Index(e, ">")+1]; strings.HasSuffix(tag, "/>") {
		return tag
	}
	end := "</" + local + ">"
	return e[:strings.Index(e, end)+len(end)]
}

// message decodes the text of an element, in which "=" stands for nothing.
func message(t testing.TB, e string) string {
	t.Helper()
	if strings.HasSuffix(e, "/>") {
		return ""
	}
	text := e[strings.Index(e, ">")+1 : strings.LastIndex(e, "</")]
	if text == "=" {
		return ""
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	require.NoError(t, err, "SA-07: no white space in base64: %q", text)
	assert.NotContains(t, text, "\n", "SA-07: no white space in base64")
	return string(data)
}

// attrOf returns the value of the first attribute of a name.
func attrOf(t testing.TB, e, name string) string {
	t.Helper()
	for _, quote := range []string{"'", `"`} {
		if _, rest, ok := strings.Cut(e, " "+name+"="+quote); ok {
			value, _, _ := strings.Cut(rest, quote)
			return value
		}
	}
	require.Fail(t, "there is no attribute "+name, e)
	return ""
}

// A stage is what a play takes place on. The zero value is a link without TLS,
// which both ends take for secure.
type stage struct {
	origin jid.JID               // the client's address; juliet if it is zero
	open   bool                  // the link is not taken for secure
	tls    *tls.Config           // the client's, if it is direct TLS
	answer *tls.Config           // the server's; serverTLS if it is nil
	then   func(s *xmpp.Session) // what the client does when it is logged in
}

// A scene is what came of a play.
type scene struct {
	Session *xmpp.Session
	Err     error
	Link    *xmpptest.Link
	Heard   string // by the server; inside of TLS if there is some
}

// play lets a client talk to a scripted server, until the client is done.
// A client that still waits for something when the script has ended finds that
// the server has nothing more to say.
func play(t testing.TB, n xmpp.Negotiator, script func(a *actor)) *scene {
	t.Helper()
	return stage{}.play(t, n, script)
}

func (st stage) play(t testing.TB, n xmpp.Negotiator, script func(a *actor)) *scene {
	t.Helper()
	s := &scene{Link: xmpptest.NewLink(xmpptest.LinkConfig{})}
	defer func() { _ = s.Link.Close() }()
	origin := st.origin
	if origin.Equal(jid.JID{}) {
		origin = juliet
	}
	state := xmpp.Secure
	if st.open {
		state = 0
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var c net.Conn = s.Link.A
		if st.tls != nil {
			c = tls.Client(pipelining.NewConn(c), st.tls)
		}
		s.Session, s.Err = xmpp.NewSession(ctx, origin.Domain(), origin, c, state, n)
		switch {
		case s.Err != nil:
			_ = s.Session.Conn().Close() // With what it has to say yet.
			_ = c.Close()
		case st.then != nil:
			st.then(s.Session)
		}
	}()
	a := &actor{t: t, Conn: s.Link.B}
	if st.tls != nil {
		answer := st.answer
		if answer == nil {
			answer = serverTLS()
		}
		if err := a.acceptTLS(answer); err != nil {
			_ = s.Link.B.Close()
			<-done
			return s
		}
	}
	script(a)
	_ = a.Conn.(interface{ CloseWrite() error }).CloseWrite()
	<-done
	_ = s.Link.CloseWrite(xmpptest.Client)
	_ = a.Conn.SetReadDeadline(time.Time{})
	rest, _ := io.ReadAll(a.Conn) // What TLS thinks of the end does not matter.
	a.heard.Write(rest)
	s.Heard = a.heard.String()
	return s
}

// welcomed asserts that the client is logged in as somebody.
func (s *scene) welcomed(t testing.TB, address jid.JID) {
	t.Helper()
	require.NoError(t, s.Err)
	assert.Equal(t, address.String(), s.Session.LocalAddr().String())
	assert.NotZero(t, s.Session.State()&xmpp.Authn)
	assert.NotZero(t, s.Session.State()&xmpp.Ready)
}

// turned asserts that the client does not believe to be logged in.
func (s *scene) turned(t testing.TB, is error) {
	t.Helper()
	if is == nil {
		require.Error(t, s.Err)
	} else {
		require.ErrorIs(t, s.Err, is)
	}
	assert.Zero(t, s.Session.State()&(xmpp.Authn|xmpp.Ready), "nobody is logged in")
	assert.Empty(t, s.Session.LocalAddr().Resourcepart(), "an address that came to nothing")
	for _, secret := range []string{password, encoded(password)} {
		assert.NotContains(t, s.Err.Error(), secret)
	}
}

// keepsSecrets asserts that the client has sent nothing that could be of use to
// anybody.
func (s *scene) keepsSecrets(t testing.TB) {
	t.Helper()
	for _, sent := range []string{s.Heard, string(s.Link.Sent(xmpptest.Client))} {
		for _, secret := range []string{"<auth", "<response", password, encoded(password)} {
			assert.NotContains(t, sent, secret)
		}
	}
}

// A reel is a connection to somebody who has said all that there is to say.
type reel struct {
	in   *strings.Reader
	sent bytes.Buffer
}

func newReel(in string) *reel { return &reel{in: strings.NewReader(in)} }

func (r *reel) Read(p []byte) (int, error)     { return r.in.Read(p) }
func (r *reel) Write(p []byte) (int, error)    { return r.sent.Write(p) }
func (*reel) Close() error                     { return nil }
func (*reel) CloseWrite() error                { return nil }
func (*reel) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*reel) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*reel) SetDeadline(time.Time) error      { return nil }
func (*reel) SetReadDeadline(time.Time) error  { return nil }
func (*reel) SetWriteDeadline(time.Time) error { return nil }

// A route is a way in which a client can be negotiated.
type route struct {
	name  string
	ahead bool // it sends before it is told what there is
	of    func(d dialect, mode pipelining.Mode, c *auth.Client) xmpp.Negotiator
}

func anyTLS(tls.ConnectionState) error { return nil }

// trusting returns c as it takes any connection for verified.
func trusting(c *auth.Client) *auth.Client {
	c.VerifyTLS = anyTLS
	return c
}

var (
	stock = route{"stock", false, func(_ dialect, _ pipelining.Mode, c *auth.Client) xmpp.Negotiator {
		return xmpptest.Stock(append(c.Features(), xmpp.BindResource())...)
	}}
	wrapped = route{"wrapped", false, func(_ dialect, _ pipelining.Mode, c *auth.Client) xmpp.Negotiator {
		return pipelining.Negotiator(xmpptest.Stock(append(c.Features(), xmpp.BindResource(), pipelining.StreamFeature())...), pipelining.Config{})
	}}
	stepwise = route{"step by step", false, func(_ dialect, _ pipelining.Mode, c *auth.Client) xmpp.Negotiator {
		return pipelining.Client(pipelining.Plan{}, pipelining.ClientConfig{TLS: clientTLS(), Authenticator: c, VerifyTLS: c.VerifyTLS})
	}}
	before = route{"ahead", true, func(d dialect, mode pipelining.Mode, c *auth.Client) xmpp.Negotiator {
		return pipelining.Client(pipelining.Plan{Mode: mode, SASL2: d.plan}, pipelining.ClientConfig{TLS: clientTLS(), Authenticator: c, VerifyTLS: c.VerifyTLS})
	}}
	routes = []route{stock, wrapped, stepwise, before}
)

// negotiator returns a client that is negotiated in this way, in full if it sends
// ahead.
func (w route) negotiator(d dialect, c *auth.Client) xmpp.Negotiator {
	return w.of(d, pipelining.Full, c)
}

// A scramScript is SCRAM as it is written in RFC 5802, independent of what is
// tested.
type scramScript struct {
	t     testing.TB
	hash  func() hash.Hash
	gs2   string // what the client says about channel binding
	bare  string // the client's first message, without that
	first string // the server's
}

// scramFor reads the client's first message.
func scramFor(t testing.TB, mechanism, first string) *scramScript {
	t.Helper()
	x := &scramScript{t: t, hash: sha256.New}
	if strings.Contains(mechanism, "SHA-1") {
		x.hash = sha1.New
	}
	parts := strings.SplitN(first, ",", 3)
	require.Len(t, parts, 3, first)
	x.gs2, x.bare = parts[0]+","+parts[1]+",", parts[2]
	return x
}

// nonce is the client's.
func (x *scramScript) nonce() string {
	_, nonce, _ := strings.Cut(x.bare, ",r=")
	return nonce
}

// challenge is the server's first message.
func (x *scramScript) challenge() string {
	x.first = "r=" + x.nonce() + "more,s=" + encoded("salt of im.example.com") + ",i=4096"
	return x.first
}

func (x *scramScript) mac(key []byte, s string) []byte {
	m := hmac.New(x.hash, key)
	m.Write([]byte(s))
	return m.Sum(nil)
}

// proofs are what the two ends prove that they know the password by. Without is
// the client's last message without its own.
func (x *scramScript) proofs(without string) (client, server string) {
	x.t.Helper()
	fields := strings.Split(x.first, ",")
	salt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(fields[1], "s="))
	require.NoError(x.t, err)
	count, err := strconv.Atoi(strings.TrimPrefix(fields[2], "i="))
	require.NoError(x.t, err)
	salted, err := pbkdf2.Key(x.hash, password, salt, count, x.hash().Size())
	require.NoError(x.t, err)
	text := x.bare + "," + x.first + "," + without
	key := x.mac(salted, "Client Key")
	h := x.hash()
	h.Write(key)
	for i, b := range x.mac(h.Sum(nil), text) {
		key[i] ^= b
	}
	return encoded(string(key)), encoded(string(x.mac(x.mac(salted, "Server Key"), text)))
}

// final checks the client's final message, which must bind to some data, and
// returns the server's.
func (x *scramScript) final(response string, binding []byte) string {
	x.t.Helper()
	without, proof, ok := strings.Cut(response, ",p=")
	require.True(x.t, ok, response)
	assert.Equal(x.t, "c="+encoded(x.gs2+string(binding))+",r="+x.nonce()+"more", without, "what is bound to")
	client, server := x.proofs(without)
	assert.Equal(x.t, client, proof, "the client's proof")
	return "v=" + server
}

// scram is an honest server's side of SCRAM, up to what goes with success.
func (a *actor) scram(d dialect, mechanism string) (proof string) {
	a.t.Helper()
	x := scramFor(a.t, mechanism, a.begin(d, mechanism))
	a.say(d.challenge(x.challenge()))
	return x.final(a.response(d), nil)
}

// htScript returns what the two ends of an HT mechanism show each other.
func htScript(secret string, binding []byte) (initiator, responder string) {
	mac := func(word string) string {
		m := hmac.New(sha256.New, []byte(secret))
		m.Write([]byte(word))
		m.Write(binding)
		return string(m.Sum(nil))
	}
	return mac("Initiator"), mac("Responder")
}

// given returns a cache with a token for juliet in it.
func given(t testing.TB, tok auth.Token) *auth.MemoryCache {
	t.Helper()
	c := new(auth.MemoryCache)
	require.NoError(t, c.SetToken(t.Context(), juliet, tok))
	return c
}

// cached returns the token that is in a client's cache.
func cached(t testing.TB, c *auth.Client) auth.Token {
	t.Helper()
	tok, err := c.Tokens.Token(t.Context(), juliet)
	require.NoError(t, err)
	return tok
}

// secret is that of the tokens of most tests.
const secret = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm"

// plainToken is a token without channel binding that does not expire soon.
func plainToken() auth.Token {
	return auth.Token{Secret: secret, Mechanism: auth.HTSHA256None, Expires: time.Date(2080, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// aheadPlan sends ahead as far as possible.
var aheadPlan = pipelining.Plan{Mode: pipelining.Full, SASL2: true}

// begins returns the Begin of a task that starts with some data and goes on with
// step.
func begins(data string, step func(xml.TokenReader) (xml.TokenReader, error)) func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
	return func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
		if data == "" {
			return nil, step, nil
		}
		return tokensIn(data), step, nil
	}
}

// tokensIn returns what is in a piece of XML as a program would write it: without
// the declarations that a decoder returns in addition to the namespaces.
func tokensIn(data string) xml.TokenReader {
	return xmlstream.RemoveAttr(func(_ xml.StartElement, a xml.Attr) bool { return a.Name.Local == "xmlns" })(xml.NewDecoder(strings.NewReader(data)))
}
