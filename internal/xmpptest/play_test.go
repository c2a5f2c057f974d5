// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest_test

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

// play plays both sides of a transcript with each other.
func play(cfg xmpptest.LinkConfig, client, server xmpptest.Transcript) (l *xmpptest.Link, clientErr, serverErr error) {
	l = xmpptest.NewLink(cfg)
	done := make(chan error)
	go func() {
		err := xmpptest.Play(l.B, server, xmpptest.Server)
		_ = l.B.Close()
		done <- err
	}()
	clientErr = xmpptest.Play(l.A, client, xmpptest.Client)
	_ = l.A.Close()
	return l, clientErr, <-done
}

func TestPlayBothSides(t *testing.T) {
	client := parse(t,
		"C: <a>",
		"C: <b/></a>",
		"S: <iq id='${id}'/>",
		"C: <iq id='${id}' ${id}/>",
		"S: <c/>",
		"S: <d/>",
	)
	server := parse(t,
		"C: <a><b/></a>",
		"S: <iq id='one'/>",
		"C: <iq id='${answer}' ${answer}/>",
		"S: <c/><d/>",
	)
	for _, chunk := range []int{0, 1, 3} {
		l, clientErr, serverErr := play(xmpptest.LinkConfig{Chunk: chunk}, client, server)
		assert.NoError(t, clientErr)
		assert.NoError(t, serverErr)
		assert.Equal(t, []string{"<a><b/></a>", "<iq id='one' one/>"}, texts(l.Writes(xmpptest.Client)), "a flight is one write")
	}
}

func TestPlayAgainstStockClient(t *testing.T) {
	tr, err := xmpptest.ReadTranscript(filepath.Join("testdata", "stock.txt"))
	require.NoError(t, err)
	for _, chunk := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			l := xmpptest.NewLink(xmpptest.LinkConfig{Chunk: chunk})
			player := xmpptest.Player{Side: xmpptest.Server, Vars: map[string]string{
				"first": "stream-1", "second": "stream-2", "resource": "balcony",
			}}
			done := make(chan error)
			go func() { done <- player.Play(l.B, tr) }()
			juliet := jid.MustParse("juliet@example.net")
			s, err := xmpp.NewSession(t.Context(), juliet.Domain(), juliet, l.A, xmpp.Secure, xmpptest.Stock(xmpptest.ClientFeatures()...))
			require.NoError(t, err)
			require.NoError(t, <-done)
			assert.Equal(t, "stream-2", s.In().ID)
			assert.Equal(t, "juliet@example.net/balcony", s.LocalAddr().String())
			assert.NotEmpty(t, player.Vars["id"], "the id of the client's IQ was read")
		})
	}
}

func TestPlayErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		client, server []string
		clientErr      string // of the client
		is             error
	}{
		"difference": {
			client:    []string{"C: <a/>", "S: <b/>"},
			server:    []string{"C: <a/>", "S: <c/>"},
			clientErr: "flight 2 (S): differs at byte 1\n",
		},
		"difference before the end of the flight": {
			client:    []string{"S: <b/>a long text"},
			server:    []string{"S: <c", "C: waits for ever"},
			clientErr: "flight 1 (S): differs at byte 1\n",
		},
		"difference in a value": {
			client:    []string{"S: <b a='${a}' b='${a}'/>"},
			server:    []string{"S: <b a='one' b='one more'/>"},
			clientErr: "flight 1 (S): differs at byte 17\n",
		},
		"quote in a value": {
			client:    []string{"S: <b a='${a}/>"},
			server:    []string{"S: <b a='one'", "C: waits for ever"},
			clientErr: "flight 1 (S): differs at byte 9\n",
		},
		"closed early": {
			client:    []string{"S: <b/><c/>"},
			server:    []string{"S: <b/>"},
			clientErr: "flight 1 (S): unexpected EOF\nwant: <b/><c/>\n got: <b/>",
			is:        io.ErrUnexpectedEOF,
		},
		"more than expected": {
			client:    []string{"S: <b/>"},
			server:    []string{"S: <b/><c/>"},
			clientErr: `unexpected bytes behind the last flight: "<c/>"`,
		},
		"unknown value": {
			client:    []string{"C: <a b='${a}'/>"},
			clientErr: "flight 1 (C): placeholder ${a} has no value here",
		},
		"anonymous values are not remembered": {
			client:    []string{"S: <a b='${_}'/>", "C: <a b='${_}'/>"},
			server:    []string{"S: <a b='1'/>"},
			clientErr: "flight 2 (C): placeholder ${_} has no value here",
		},
		"stage without function": {
			client:    []string{"-- TLS --"},
			clientErr: "flight 1 (TLS): no function for stages",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err, _ := play(xmpptest.LinkConfig{}, parse(t, tc.client...), parse(t, tc.server...))
			assert.ErrorContains(t, err, tc.clientErr)
			if tc.is != nil {
				assert.ErrorIs(t, err, tc.is)
			}
		})
	}
	t.Run("bad placeholder", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		err := xmpptest.Play(l.A, xmpptest.Transcript{{Side: xmpptest.Server, Text: "${a"}}, xmpptest.Client)
		assert.ErrorContains(t, err, "flight 1 (S): placeholder without }")
	})
	t.Run("connection", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		l.Cut()
		assert.ErrorIs(t, xmpptest.Play(l.A, parse(t, "C: <a/>"), xmpptest.Client), xmpptest.ErrCut)
		assert.ErrorIs(t, xmpptest.Play(l.A, parse(t, "S: <a/>"), xmpptest.Client), xmpptest.ErrCut)
	})
}

func TestPlayValueAndLiteralMayOverlap(t *testing.T) {
	want := parse(t, "S: <jid>${a}@${b}/x'y</jid>")
	for _, chunk := range []int{0, 1, 2} {
		_, err, _ := play(xmpptest.LinkConfig{Chunk: chunk}, want, parse(t, "S: <jid>me@/host/x/x'y</jid>"))
		assert.NoError(t, err)
	}
}

// rot is a stage that adds a number to each byte.
type rot struct {
	net.Conn
	n byte
}

func (c rot) Write(b []byte) (int, error) {
	enc := make([]byte, len(b))
	for i := range b {
		enc[i] = b[i] + c.n
	}
	return c.Conn.Write(enc)
}

func (c rot) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for i := range b[:n] {
		b[i] -= c.n
	}
	return n, err
}

func TestPlayStage(t *testing.T) {
	tr := parse(t, "C: <start/>", "S: <proceed/>", "-- rot --", "C: <a/>", "S: <b/>")
	stage := func(name string, conn net.Conn) (net.Conn, error) {
		if name != "rot" {
			return nil, errors.New("unknown stage")
		}
		return rot{conn, 13}, nil
	}
	t.Run("both sides", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		done := make(chan error)
		go func() {
			p := xmpptest.Player{Side: xmpptest.Server, Stage: stage}
			done <- p.Play(l.B, tr)
		}()
		p := xmpptest.Player{Side: xmpptest.Client, Stage: stage}
		require.NoError(t, p.Play(l.A, tr))
		require.NoError(t, <-done)
		assert.Equal(t, "<start/>In<K", string(l.Sent(xmpptest.Client)))
	})
	t.Run("bytes of the next stage in the same read", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		_, err := l.A.Write([]byte("<start/>In<K"))
		require.NoError(t, err)
		p := xmpptest.Player{Side: xmpptest.Server, Stage: stage}
		assert.NoError(t, p.Play(l.B, tr))
	})
	t.Run("fails", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		p := xmpptest.Player{Stage: stage}
		assert.ErrorContains(t, p.Play(l.A, parse(t, "-- other --")), "flight 1 (other): unknown stage")
	})
}
