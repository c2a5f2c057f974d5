// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// TestTiming measures how long a server takes to refuse accounts, clients and
// secrets that exist and that do not, and prints what a statistician would see.
// Nothing is asserted: a busy machine would fail it.
func TestTiming(t *testing.T) {
	if os.Getenv("XMPPEXT_TIMING") == "" {
		t.Skip("set XMPPEXT_TIMING=1 to measure how alike refusals are in time; it takes some minutes")
	}
	const (
		many = 30_000
		few  = 3_000 // where a password is hashed
	)
	nurse := jid.MustParse("nursey@im.example.com") // All names are equally long.
	stored := accounts()
	require.NoError(t, stored.SetPassword(nurse, password))
	defer stored.Remove(nurse)

	t.Logf("%-58s %12s %12s %9s %7s", "", "first", "second", "apart", "t")
	report := func(what string, took [2][]float64) {
		a, b := trim(took[0]), trim(took[1])
		t.Logf("%-58s %9.0f ns %9.0f ns %6.0f ns %7.1f", what, median(took[0]), median(took[1]), median(took[0])-median(took[1]), welch(a, b))
	}
	srv := func(c auth.Credentials) *auth.Server {
		return &auth.Server{Credentials: c, Mechanisms: append(auth.DefaultMechanisms(), auth.Plain), Iterations: iterations}
	}

	for _, mechanism := range scrams {
		for _, names := range [][2]string{{"juliet", "nursey"}, {"juliet", "romeo1"}, {"romeo1", "romeo2"}} {
			what := map[[2]string]string{
				{"juliet", "nursey"}: "an account, another one",
				{"juliet", "romeo1"}: "an account, no account",
				{"romeo1", "romeo2"}: "no account, no account",
			}[names]
			var first, final [2][]float64
			s := srv(stored)
			proof := b64.EncodeToString(make([]byte, hashPassword(mechanism, "", nil, 1).h().Size()))
			inTurns(many, func(which int) {
				server := bareServer(t, s, mechanism, new(gate))
				message := []byte("n,,n=" + names[which] + ",r=fyko+d2lbbFgONRv9qkxdawL")
				begun := time.Now()
				_, challenge, err := server.Step(message)
				first[which] = append(first[which], float64(time.Since(begun)))
				require.NoError(t, err)
				nonce, _, _ := strings.Cut(string(challenge), ",")
				message = []byte("c=biws," + nonce + ",p=" + proof)
				begun = time.Now()
				_, _, err = server.Step(message)
				final[which] = append(final[which], float64(time.Since(begun)))
				require.Equal(t, sasl.ErrAuthn, err)
			})
			report(mechanism+", first message: "+what, first)
			report(mechanism+", wrong proof: "+what, final)
		}
	}

	cheap := hashPassword(auth.ScramSHA256, password, []byte("0123456789abcdef"), 1)
	for _, test := range []struct {
		what    string
		samples int
		store   auth.Credentials
		i       int
	}{
		{"PLAIN, 4096 iterations", few, stored, iterations},
		{"PLAIN, 1 iteration", many, oneAccount{auth.ScramSHA256: cheap.keys()}, 1},
	} {
		s := srv(test.store)
		s.Iterations = test.i
		for _, names := range [][2]string{{"juliet", "romeo1"}, {"romeo1", "romeo2"}} {
			var took [2][]float64
			inTurns(test.samples, func(which int) {
				server := bareServer(t, s, auth.Plain, new(gate))
				message := []byte("\x00" + names[which] + "\x00wr0ng-wr0ng")
				begun := time.Now()
				_, _, err := server.Step(message)
				took[which] = append(took[which], float64(time.Since(begun)))
				require.Equal(t, sasl.ErrAuthn, err)
			})
			what := ": an account, no account"
			if names[0] == "romeo1" {
				what = ": no account, no account"
			}
			report(test.what+what, took)
		}
	}

	const (
		otherAgent = "a4565fa7-4d72-4749-b3d3-740edbf87770"
		bothAgent  = "b4565fa7-4d72-4749-b3d3-740edbf87770"
	)
	store := new(auth.MemoryTokens)
	token := auth.Token{Secret: auth.Secret(strings.Repeat("x", 43)), Mechanism: auth.HTSHA256None, Issued: time.Now(), Expires: time.Now().Add(time.Hour)}
	keepToken(t, store, token)
	require.NoError(t, store.Update(t.Context(), juliet, bothAgent, func(kept *auth.Tokens) bool {
		*kept = auth.Tokens{Current: token, New: token}
		return true
	}))
	s := srv(stored)
	s.FAST, s.MaxTries = &auth.FAST{Store: store}, math.MaxInt
	wrong := htProof("wrong", "Initiator", nil)
	request := func(user, agent string) []byte {
		return []byte(htRequest(auth.HTSHA256None, "<user-agent id='"+agent+"'/>", htFast, append([]byte(user+"\x00"), wrong...)))
	}
	for _, test := range []struct {
		what string
		both [2][]byte
	}{
		{"a client with a token, one without", [2][]byte{request("juliet", agentID), request("juliet", otherAgent)}},
		{"a client with two tokens, one without", [2][]byte{request("juliet", bothAgent), request("juliet", otherAgent)}},
		{"a client with a token, no account", [2][]byte{request("juliet", agentID), request("romeo1", agentID)}},
		{"a client without a token, no account", [2][]byte{request("juliet", otherAgent), request("romeo1", otherAgent)}},
		{"no account, no account", [2][]byte{request("romeo2", agentID), request("romeo1", agentID)}},
	} {
		w := &stopwatch{both: test.both, left: many}
		_, err := xmpp.ReceiveSession(context.Background(), w, xmpp.Secure, xmpptest.Stock(append(s.Features(nil), xmpp.BindResource())...))
		require.Error(t, err, "it ends when the client has had enough")
		require.Len(t, w.took[0], many)
		require.Len(t, w.took[1], many)
		report("HT-SHA-256-NONE: "+test.what, w.took)
	}
}

// inTurns calls do n times for each of two, in pairs of which either comes first.
func inTurns(n int, do func(which int)) {
	for range n {
		first := rand.IntN(2)
		do(first)
		do(1 - first)
	}
}

// A stopwatch is a client that is refused again and again, in pairs of which either
// comes first, and measures how long that takes.
type stopwatch struct {
	silent
	both [2][]byte
	left int // pairs

	opened, running bool
	which           int
	second          bool // of the pair
	begun           time.Time
	took            [2][]float64
}

func (w *stopwatch) Read(p []byte) (int, error) {
	if !w.opened {
		w.opened = true
		return copy(p, `<stream:stream to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`), nil
	}
	switch {
	case w.second:
		w.which = 1 - w.which
	case w.left == 0:
		return 0, io.EOF
	default:
		w.left--
		w.which = rand.IntN(2)
	}
	w.second = !w.second
	n := copy(p, w.both[w.which])
	w.running, w.begun = true, time.Now()
	return n, nil
}

func (w *stopwatch) Write(p []byte) (int, error) {
	if w.running {
		w.took[w.which] = append(w.took[w.which], float64(time.Since(w.begun)))
		w.running = false
		if !bytes.Contains(p, []byte("<not-authorized ")) {
			return 0, io.ErrUnexpectedEOF
		}
	}
	return len(p), nil
}

// trim returns what is neither among the smallest nor the largest tenth.
func trim(v []float64) []float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/10 : len(v)-len(v)/10]
}

// welch is Welch's t.
func welch(a, b []float64) float64 {
	of := func(v []float64) (mean, squared float64) {
		for _, x := range v {
			mean += x / float64(len(v))
		}
		for _, x := range v {
			squared += (x - mean) * (x - mean) / float64(len(v)-1)
		}
		return mean, squared / float64(len(v))
	}
	meanA, errA := of(a)
	meanB, errB := of(b)
	return (meanA - meanB) / math.Sqrt(errA+errB)
}
