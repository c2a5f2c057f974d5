// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// unguessed are accounts whose passwords nobody knows, not even a fuzzer that is
// lucky.
var unguessed = sync.OnceValue(func() *auth.Accounts {
	a := &auth.Accounts{Iterations: iterations}
	if err := a.SetPassword(juliet, rand.Text()); err != nil {
		panic(err)
	}
	return a
})

// storeWith returns a store with one token of juliet in it.
func storeWith(tok auth.Token) *auth.MemoryTokens {
	store := new(auth.MemoryTokens)
	_ = store.Update(context.Background(), juliet, agentID, func(t *auth.Tokens) bool {
		t.Current = tok
		return true
	})
	return store
}

const fuzzHeader = `<stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

// FuzzServer lets anybody say anything to a server behind a stream header. Nobody
// is let in who does not know a secret, and who does is nobody else.
func FuzzServer(f *testing.F) {
	var (
		plain     = encoded("\x00juliet\x00" + password)
		begin     = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" + plain + "</initial-response>"
		all       = clientAgent + clientRide + "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"
		next      = "<next xmlns='urn:xmpp:sasl:2' task='T'><x xmlns='urn:x'>1</x></next>"
		taskData  = "<task-data xmlns='urn:xmpp:sasl:2'/>"
		closes    = "</authenticate>"
		bindIQ    = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
		initiator = strings.Repeat("\x00", 32)
	)
	for _, seed := range []string{
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>" + fuzzHeader + bindIQ,
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/><response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + plain + "</response>" + fuzzHeader + bindIQ,
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>=</auth><abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>" + encoded("n,a=juliet@im.example.com,n=juliet,r=abc") + "</auth><response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + encoded("c=biws,r=abc,p=AAAA") + "</response>",
		begin + closes + next + taskData + bindIQ,
		begin + all + closes + next + taskData + "<message/>",
		begin + closes + "<abort xmlns='urn:xmpp:sasl:2'/>" + begin + closes + next + taskData,
		begin + closes + next + "<task-data xmlns='urn:xmpp:sasl:2'><fail/></task-data>",
		begin + closes + " " + next, begin + "<fast xmlns='urn:xmpp:fast:0' count='1' invalidate='true'/>" + closes,
		strings.Replace(begin, "PLAIN", "HT-SHA-256-NONE", 1) + clientAgent + "<fast xmlns='urn:xmpp:fast:0'/>" + closes,
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>" + encoded("juliet\x00"+initiator) + "</initial-response>" + clientAgent + "<fast xmlns='urn:xmpp:fast:0' count='3'/></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'><initial-response>" + encoded("y,,n=juliet,r=abc") + "</initial-response></authenticate><response xmlns='urn:xmpp:sasl:2'>" + encoded("c=eSws,r=abc,p=AAAA") + "</response>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'/><response xmlns='urn:xmpp:sasl:2'/>",
		"<authenticate xmlns='urn:xmpp:sasl:2'/>", "<authenticate xmlns='urn:xmpp:sasl:2' mechanism=''><user-agent id='x'/></authenticate>",
		begin + "<initial-response/>" + closes, begin + "<user-agent/><ride xmlns='urn:example:ride'/>" + closes + next + taskData, bindIQ, "<response xmlns='urn:xmpp:sasl:2'/>", "</stream:stream>", "<", "",
	} {
		for flags := range byte(4) {
			f.Add([]byte(seed), flags)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, flags byte) {
		known, stocked := flags&1 != 0, flags&2 != 0
		srv := &auth.Server{
			Credentials: unguessed(),
			Mechanisms:  append(auth.DefaultMechanisms(), auth.Plain, auth.External),
			Inline:      []auth.Inline{ride{}},
			Iterations:  iterations,
			FAST:        &auth.FAST{Store: storeWith(auth.Token{Secret: auth.Secret(rand.Text()), Mechanism: auth.HTSHA256None, Expires: time.Now().Add(time.Hour)})},
			Tasks: func(_ context.Context, _ *xmpp.Session, _ jid.JID, done []string) ([]auth.Task, error) {
				if len(done) > 0 {
					return nil, nil
				}
				return []auth.Task{{Name: "T", Step: func(_ context.Context, data xml.TokenReader) (xml.TokenReader, bool, error) {
					tok, err := data.Token()
					if start, ok := tok.(xml.StartElement); ok && start.Name.Local == "fail" {
						return nil, false, auth.Failure{Condition: auth.NotAuthorized}
					}
					return nil, err != nil, nil
				}}}, nil
			},
		}
		if known {
			srv.Credentials = accounts()
		}
		n := negotiator(srv)
		if stocked {
			n = xmpp.NewNegotiator(serverConfig(srv))
		}
		c := newReel(fuzzHeader + string(data))
		s, err := xmpp.ReceiveSession(t.Context(), c, xmpp.Secure, n)
		if s.State()&xmpp.Authn != 0 || err == nil {
			require.True(t, known, "nobody knows the password: %q", data)
			assert.Equal(t, juliet, s.RemoteAddr().Bare())
			assert.Contains(t, c.sent.String(), "<success")
		}
		if !known {
			assert.NotContains(t, c.sent.String(), "<success")
			assert.NotContains(t, c.sent.String(), "<continue")
			assert.NotContains(t, c.sent.String(), "<ridden")
		}
		assert.NotContains(t, c.sent.String(), password)
	})
}

// FuzzClient lets a server say anything to a client. A client that asks for proof
// is not logged in without it, whatever the server says.
func FuzzClient(f *testing.F) {
	const nonce = "r=abc,s=c2FsdA==,i=4096"
	var (
		zeros = "v=" + encoded(strings.Repeat("\x00", 32))
		both  = actorHeader + features(modern(offersRide+fast(auth.HTSHA256None), "X-CHAT", auth.ScramSHA256, auth.Plain), legacy("X-CHAT", auth.ScramSHA256, auth.Plain), bindings())
		tail  = features(offersToBind, "<x xmlns='urn:x'/>")
		task  = sasl2.element("continue", "<additional-data>"+encoded(zeros)+"</additional-data><tasks><task>T</task></tasks>")
	)
	for _, seed := range []string{
		both + sasl2.success("") + tail, both + succeeds("bye", balcony.String(), ridden, token("x", "2030-01-01T00:00:00Z")) + features() + "<message/>",
		both + sasl1.success("") + actorHeader + tail, both + sasl1.success("bye") + actorHeader + features(offersToBind),
		both + sasl2.challenge(nonce) + sasl2.success(zeros) + tail, both + sasl1.challenge(nonce) + sasl1.success(zeros) + actorHeader + tail,
		both + sasl2.challenge("how") + sasl2.challenge("") + succeeds("bye", balcony.String(), ridden) + "\n" + tail,
		both + sasl2.failure(auth.NotAuthorized, "<text>No.</text>") + sasl2.success(""), both + sasl2.failure(auth.InvalidMechanism) + sasl2.failure(auth.InvalidMechanism) + sasl2.success("bye") + tail,
		both + sasl1.failure(auth.InvalidMechanism) + sasl1.success("") + actorHeader + tail,
		both + task + sasl2.element("task-data", "<x xmlns='urn:x'/>") + sasl2.success("") + tail, both + task + task + sasl2.failure(auth.Aborted),
		both + succeeds("", "romeo@im.example.com/x", ridden) + tail, both + succeeds("", balcony.String(), "<resumed xmlns='urn:xmpp:sm:3'/>") + "<message/>",
		both + succeeds(strings.Repeat("\x00", 32), balcony.String(), ridden) + "\n<stream:features>\n</stream:features>",
		actorHeader + features(legacy(auth.Plain)) + sasl1.success("") + actorHeader + tail, actorHeader + features(modern("", auth.ScramSHA256Plus)) + sasl2.success(""),
		both + "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", both + streamEnd, actorHeader + features(), actorHeader, "<", "",
	} {
		for flags := range byte(32) {
			f.Add([]byte(seed), flags)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, flags byte) {
		// What proves what: nothing, SCRAM, a token or a mechanism of its own.
		w, d, what := routes[flags&3], dialects[flags>>2&1], flags>>3&3
		c := trusting(newClient(auth.Plain))
		switch what {
		case 1:
			c.Mechanisms, c.Password = []string{auth.ScramSHA256, auth.ScramSHA1}, auth.Password(rand.Text())
		case 2:
			c.Mechanisms, c.Password = []string{auth.ScramSHA256}, auth.Password(rand.Text())
			tok := plainToken()
			tok.Secret = auth.Secret(rand.Text())
			c.Tokens = given(t, tok)
		case 3:
			c.Mechanisms, c.More = []string{"X-CHAT"}, []sasl.Mechanism{chat}
		}
		observed := false
		c.Observe = func(*xmpp.Session, auth.Login) { observed = true }
		c.TokenMechanism = auth.HTSHA256None
		c.Inline = []auth.ClientInline{rideAlong{"balcony"}, resume{}}
		c.Tasks = []auth.ClientTask{{Name: "T", Begin: begins("<x xmlns='urn:x'/>", func(xml.TokenReader) (xml.TokenReader, error) { return nil, nil })}}
		if manyIterations(data) {
			t.Skip("so many iterations take longer than fuzzing has, and nothing else comes of them")
		}
		conn := newReel(string(data))
		s, err := xmpp.NewSession(t.Context(), domain, juliet, conn, xmpp.Secure, w.negotiator(d, c))
		in := s.State()&xmpp.Authn != 0
		if proves := what == 1 || what == 2; proves {
			assert.False(t, in || observed, "nobody has proven anything: %q", data)
		}
		assert.Equal(t, in, observed)
		assert.Equal(t, juliet, s.LocalAddr().Bare())
		switch {
		case err != nil:
			assert.Zero(t, s.State()&xmpp.Ready)
			assert.True(t, in || s.LocalAddr().Resourcepart() == "", "an address that came to nothing: %v", err)
		case w.name != stock.name && w.name != wrapped.name: // Mellium takes an empty list for the end.
			assert.True(t, in, "ready means authenticated")
			assert.NotEmpty(t, s.LocalAddr().Resourcepart(), "ready means bound")
		}
		if what != 0 {
			assert.NotContains(t, conn.sent.String(), encoded("\x00juliet\x00"+password))
		}
	})
}

// manyIterations reports whether data may ask for more work than a fuzzer has
// time for.
func manyIterations(data []byte) bool {
	for _, e := range strings.FieldsFunc(string(data), func(r rune) bool { return r == '<' || r == '>' }) {
		if text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(e)); err == nil && bytes.Contains(text, []byte(",i=")) && !bytes.Contains(text, []byte(",i=4096")) {
			return true
		}
	}
	return false
}

// FuzzScramClient says anything to the client's side of SCRAM. NONCE stands for its
// nonce, and PROOF for what proves that the password is known.
func FuzzScramClient(f *testing.F) {
	for _, final := range []string{"PROOF", "PROOF,x=y", "v=", "v=AAAA", "e=other-error", "e=x,PROOF", ",PROOF", "", "x"} {
		f.Add("r=NONCEmore,s=c2FsdA==,i=4096", final, false)
		f.Add("r=NONCEmore,s=c2FsdA==,i=4096,m=x", final, true)
	}
	for _, first := range []string{
		"", ",", "r=NONCE,s=c2FsdA==,i=4096", "r=more,s=c2FsdA==,i=4096", "m=x,r=NONCEmore,s=c2FsdA==,i=4096", "r=NONCEmore,s=,i=4096", "r=NONCEmore,s=c2FsdA==,i=04096",
		"r=NONCEmore,s=c2FsdA==,i=+4096", "r=NONCEmore,s=c2FsdA==,i=0", "r=NONCE\x00,s=c2FsdA==,i=4096", "e=other-error",
	} {
		f.Add(first, "PROOF", false)
	}
	f.Fuzz(func(t *testing.T, first, final string, sha1 bool) {
		name := auth.ScramSHA256
		if sha1 {
			name = auth.ScramSHA1
		}
		m, err := auth.ClientMechanism(name)
		require.NoError(t, err)
		n := sasl.NewClient(m, sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte("juliet"), []byte(password), nil }))
		more, hello, err := n.Step(nil)
		require.NoError(t, err)
		require.True(t, more)
		x := scramFor(t, name, string(hello))
		x.first = strings.ReplaceAll(first, "NONCE", x.nonce())
		_, count, _ := strings.Cut(x.first, ",i=")
		if len(count) > 4 && count[0] != '0' {
			t.Skip("so many iterations take longer than fuzzing has, and nothing else comes of them")
		}
		more, response, err := n.Step([]byte(x.first))
		if err != nil {
			require.ErrorIs(t, err, auth.ErrUnproven)
			return
		}
		require.True(t, more)
		require.True(t, strings.HasPrefix(x.first, "r="+x.nonce()), "the nonce goes on from the client's")
		without, _, _ := strings.Cut(string(response), ",p=")
		_, proof := x.proofs(without)
		proof = "v=" + proof
		final = strings.ReplaceAll(final, "PROOF", proof)
		more, _, err = n.Step([]byte(final))
		if right := final == proof || strings.HasPrefix(final, proof+","); right && !strings.Contains(final, ",m=") {
			require.NoError(t, err)
			require.False(t, more)
		} else {
			require.ErrorIs(t, err, auth.ErrUnproven, final)
		}
	})
}

// FuzzScramServer says anything to the server's side of SCRAM. NONCE stands for
// the nonce of both, and PROOF for the right proof.
func FuzzScramServer(f *testing.F) {
	for _, final := range []string{"c=biws,r=NONCE,p=PROOF", "c=biws,r=NONCE,x=y,p=PROOF", "c=biws,r=NONCE,p=", "c=eSws,r=NONCE,p=PROOF", "c=biws,r=x,p=PROOF", "c=biws,r=NONCE,p=PROOF,x=y", "p=PROOF", "", ",,", "c=biws,r=NONCE,p=AAAA"} {
		f.Add("n,,n=juliet,r=abc", final, false)
		f.Add("n,a=juliet@im.example.com,n=juliet,r=abc,x=y", final, true)
	}
	for _, first := range []string{
		"", ",", ",,,", "y,,n=juliet,r=abc", "n,,n=,r=abc", "n,,n=juliet,r=", "n,,n=romeo,r=abc", "n,,n=JULIET,r=abc", "n,,n=jul=69et,r=abc", "n,,n=juliet=2C,r=abc", "p=tls-exporter,,n=juliet,r=abc",
		"n,a=romeo@im.example.com,n=juliet,r=abc", "n,,m=x,n=juliet,r=abc", "n,,n=juliet\x00,r=abc", "n,,n=\xff,r=abc", "n,,n=juliet@im.example.com,r=abc", "n,,n=juliet/x,r=abc",
	} {
		f.Add(first, "c=biws,r=NONCE,p=PROOF", false)
	}
	f.Fuzz(func(t *testing.T, first, final string, sha1 bool) {
		name := auth.ScramSHA256
		if sha1 {
			name = auth.ScramSHA1
		}
		m, err := newServer().Mechanism(t.Context(), name, domain)
		require.NoError(t, err)
		var let []string
		n := sasl.NewServer(m, func(n *sasl.Negotiator) bool {
			user, pass, identity := n.Credentials()
			assert.Empty(t, pass)
			let = append(let, string(user), string(identity))
			return string(identity) == "" || string(identity) == juliet.String()
		})
		more, challenge, err := n.Step([]byte(first))
		assert.Empty(t, let)
		if err != nil {
			return
		}
		require.True(t, more)
		// The right proof is that of the client whose message it would have been.
		without := final
		if i := strings.LastIndex(final, ","); i >= 0 {
			without = final[:i]
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
		without = strings.ReplaceAll(without, "NONCE", nonce)
		x := scramFor(t, name, first)
		x.first = string(challenge)
		proof, _ := x.proofs(without)
		final = strings.ReplaceAll(strings.ReplaceAll(final, "NONCE", nonce), "PROOF", proof)
		more, answer, err := n.Step([]byte(final))
		require.False(t, more)
		if err != nil {
			assert.Empty(t, answer)
			return
		}
		assert.Contains(t, final, proof, "nobody is let in without a proof")
		assert.Equal(t, "juliet", let[0], "and as nobody else")
		assert.Contains(t, []string{"", juliet.String()}, let[1])
		assert.True(t, strings.HasPrefix(string(answer), "v="))
	})
}

// FuzzHT says anything to both sides of an HT mechanism. RIGHT stands for what the
// other end would say.
func FuzzHT(f *testing.F) {
	for _, message := range []string{"RIGHT", "RIGHTx", "xRIGHT", "", "\x00", "juliet\x00", "juliet\x00" + strings.Repeat("\x00", 32), "romeo\x00RIGHT", "JULIET\x00RIGHT", "juliet\x00RIGHT", "\x00RIGHT", "juliet\x00\x00RIGHT", "\xff\x00RIGHT"} {
		f.Add([]byte(message), true, true)
		f.Add([]byte(message), false, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, agent, flag bool) {
		initiator, responder := htScript(secret, nil)
		m, err := auth.ClientMechanism(auth.HTSHA256None)
		require.NoError(t, err)
		n := sasl.NewClient(m, sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte("juliet"), []byte(secret), nil }))
		_, hello, err := n.Step(nil)
		require.NoError(t, err)
		require.Equal(t, "juliet\x00"+initiator, string(hello))
		answer := strings.ReplaceAll(string(data), "RIGHT", responder)
		more, _, err := n.Step([]byte(answer))
		require.False(t, more)
		if answer == responder {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, auth.ErrUnproven)
		}

		srv := newServer()
		srv.FAST.Store = storeWith(auth.Token{Secret: secret, Mechanism: auth.HTSHA256None, Expires: time.Now().Add(time.Hour)})
		say := strings.ReplaceAll(string(data), "RIGHT", initiator)
		request := "<initial-response>" + encoded(say) + "</initial-response>"
		if agent {
			request += clientAgent
		}
		if flag {
			request += "<fast xmlns='urn:xmpp:fast:0'/>"
		}
		c := newReel(fuzzHeader + "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'>" + request + "</authenticate>")
		s, err := xmpp.ReceiveSession(t.Context(), c, xmpp.Secure, pipelining.Negotiator(xmpp.NewNegotiator(serverConfig(srv)), pipelining.Config{}))
		require.Error(t, err) // That is all that the client says.
		user, proof, _ := strings.Cut(say, "\x00")
		if s.State()&xmpp.Authn == 0 {
			assert.False(t, user == "juliet" && proof == initiator && agent && flag, "it was right: %s", c.sent.String())
			return
		}
		assert.True(t, agent && flag && proof == initiator)
		assert.True(t, strings.EqualFold(user, "juliet"), user)
		assert.Equal(t, juliet, s.RemoteAddr())
		assert.Contains(t, c.sent.String(), encoded(responder))
	})
}
