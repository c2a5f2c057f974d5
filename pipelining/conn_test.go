// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// holdSize is how much a Conn holds back.
const holdSize = 64 << 10

// tcpPipe returns both ends of a TCP connection on this machine.
func tcpPipe() (a, b net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b, err = l.Accept(); err != nil {
		_ = a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// TestConnIsANetConn is about a Conn that holds nothing back any more: nettest
// writes and does not expect to have to read to be heard.
//
// With a tls.Conn in the stack it cannot pass, whatever stands above and below:
// a tls.Conn is of no more use once a write has timed out, where nettest goes on.
func TestConnIsANetConn(t *testing.T) {
	for name, pipe := range map[string]func() (net.Conn, net.Conn, error){
		"TCP": tcpPipe,
		"link": func() (net.Conn, net.Conn, error) {
			l := xmpptest.NewLink(xmpptest.LinkConfig{Limit: holdSize})
			return l.A, l.B, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b, err := pipe()
				if err != nil {
					return nil, nil, nil, err
				}
				c, d := pipelining.NewConn(a), pipelining.NewConn(b)
				err = errors.Join(c.Through(), d.Through())
				return c, d, func() { _, _ = c.Close(), d.Close() }, err
			})
		})
	}
}

// writeTo writes to c, which must take it.
func writeTo(t testing.TB, c io.Writer, s string) {
	t.Helper()
	n, err := io.WriteString(c, s)
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

// sent returns what the server's end of a link has written, write by write.
func sent(l *xmpptest.Link) []string {
	var all []string
	for _, b := range l.Writes(xmpptest.Server) {
		all = append(all, string(b))
	}
	return all
}

// newConn returns a Conn on the server's end of an immediate link.
func newConn(t testing.TB) (*pipelining.Conn, *xmpptest.Link) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	t.Cleanup(func() { _ = l.Close() })
	return pipelining.NewConn(l.B), l
}

// newStacks returns, for both ends of a link, a Conn above TLS above a Conn, with
// nothing left to be said of the handshake.
func newStacks(t testing.TB, l *xmpptest.Link) (client, server *pipelining.Conn) {
	t.Helper()
	t.Cleanup(func() { _ = l.Close() })
	a := tls.Client(pipelining.NewConn(l.A), clientTLS())
	b := tls.Server(pipelining.NewConn(l.B), serverTLS())
	client, server = pipelining.NewConn(a), pipelining.NewConn(b)
	done := make(chan error, 1)
	go func() { done <- b.Handshake() }()
	require.NoError(t, a.Handshake())
	require.NoError(t, client.Flush())
	require.NoError(t, <-done)
	require.NoError(t, server.Flush())
	return client, server
}

func TestConnHoldsUntilAReadWaits(t *testing.T) {
	for name, read := range map[string]func(*pipelining.Conn) (byte, error){
		"Read": func(c *pipelining.Conn) (byte, error) {
			b := make([]byte, 1)
			_, err := c.Read(b)
			return b[0], err
		},
		"ReadByte": (*pipelining.Conn).ReadByte,
	} {
		t.Run(name, func(t *testing.T) {
			c, l := newConn(t)
			next := func(want byte) {
				t.Helper()
				b, err := read(c)
				require.NoError(t, err)
				require.Equal(t, string(want), string(b))
			}
			writeTo(t, l.A, "ab")
			b, err := c.ReadByte() // A Read would leave b where it is.
			require.NoError(t, err)
			require.Equal(t, byte('a'), b)
			writeTo(t, c, "1")
			next('b')
			writeTo(t, c, "2")
			assert.Empty(t, sent(l), "there was something to read")
			writeTo(t, l.A, "c")
			next('c')
			assert.Equal(t, []string{"12"}, sent(l))
			writeTo(t, l.A, "d")
			next('d')
			assert.Equal(t, []string{"12"}, sent(l), "nothing is held, nothing is written")
		})
	}
}

func TestConnHoldsUntilFlush(t *testing.T) {
	c, l := newConn(t)
	require.NoError(t, c.Flush())
	writeTo(t, c, "1")
	writeTo(t, c, "2")
	assert.Empty(t, sent(l))
	require.NoError(t, c.Flush())
	writeTo(t, c, "3")
	require.NoError(t, c.Flush())
	require.NoError(t, c.Flush())
	assert.Equal(t, []string{"12", "3"}, sent(l))
}

func TestConnHoldsNotWithoutBounds(t *testing.T) {
	c, l := newConn(t)
	head, tail := strings.Repeat("h", holdSize-1), strings.Repeat("t", 2*holdSize)
	writeTo(t, c, head)
	assert.Empty(t, sent(l))
	writeTo(t, c, "x")
	assert.Equal(t, []string{head + "x"}, sent(l))
	writeTo(t, c, "y")
	writeTo(t, c, tail)
	assert.Equal(t, []string{head + "x", "y" + tail}, sent(l))
}

func TestConnOwnsWhatItHolds(t *testing.T) {
	c, l := newConn(t)
	b := []byte("before")
	_, err := c.Write(b)
	require.NoError(t, err)
	copy(b, "behind")
	require.NoError(t, c.Flush())
	assert.Equal(t, []string{"before"}, sent(l))
}

func TestConnThrough(t *testing.T) {
	c, l := newConn(t)
	writeTo(t, c, "1")
	writeTo(t, c, "2")
	require.NoError(t, c.Through())
	writeTo(t, c, "3")
	writeTo(t, c, "4")
	require.NoError(t, c.Through())
	require.NoError(t, c.Flush())
	assert.Equal(t, []string{"12", "3", "4"}, sent(l))
}

func TestConnThroughAllLayers(t *testing.T) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	client, server := newStacks(t, l)
	shaken := len(sent(l))
	writes := func() int { return len(sent(l)) - shaken }

	writeTo(t, server, "1")
	writeTo(t, server, "2")
	require.NoError(t, server.Flush())
	assert.Equal(t, 1, writes())
	writeTo(t, server, "3")
	assert.Equal(t, 1, writes())
	require.NoError(t, server.Through())
	assert.Equal(t, 2, writes())
	writeTo(t, server, "4")
	assert.Equal(t, 3, writes())
	writeTo(t, server, "5")
	assert.Equal(t, 4, writes())

	b := make([]byte, 5)
	_, err := io.ReadFull(client, b)
	require.NoError(t, err)
	assert.Equal(t, "12345", string(b))
}

func TestConnJoinsRecords(t *testing.T) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	_, server := newStacks(t, l)
	shaken := len(sent(l))
	_, err := server.NetConn().Write([]byte("1"))
	require.NoError(t, err)
	_, err = server.NetConn().Write([]byte("2"))
	require.NoError(t, err)
	assert.Len(t, sent(l), shaken)
	require.NoError(t, server.Flush(), "there is nothing to flush but below")
	assert.Len(t, sent(l), shaken+1)
}

func TestConnClose(t *testing.T) {
	c, l := newConn(t)
	writeTo(t, c, "last words")
	require.NoError(t, c.Close())
	b, err := io.ReadAll(l.A)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(b))
	assert.NoError(t, c.Close(), "as the connection below")

	l = xmpptest.NewLink(xmpptest.LinkConfig{})
	client, server := newStacks(t, l)
	writeTo(t, server, "last words")
	require.NoError(t, server.Close())
	b, err = io.ReadAll(client)
	require.NoError(t, err, "the end of TLS has come too")
	assert.Equal(t, "last words", string(b))
}

func TestConnCloseWrite(t *testing.T) {
	c, l := newConn(t)
	writeTo(t, c, "last words")
	require.NoError(t, c.CloseWrite())
	b, err := io.ReadAll(l.A)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(b))
	writeTo(t, l.A, "reply")
	b = make([]byte, 5)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	assert.Equal(t, "reply", string(b))
}

func TestConnCloseWriteAboveTLS(t *testing.T) {
	for _, through := range []bool{false, true} {
		t.Run(fmt.Sprintf("through %t", through), func(t *testing.T) {
			l := xmpptest.NewLink(xmpptest.LinkConfig{})
			client, server := newStacks(t, l)
			if through {
				require.NoError(t, server.Through())
			}
			writeTo(t, server, "last words")
			require.NoError(t, server.CloseWrite())
			// A broken half close would leave the client waiting.
			require.NoError(t, client.SetReadDeadline(time.Now().Add(10*time.Second)))
			b, err := io.ReadAll(client)
			require.NoError(t, err)
			assert.Equal(t, "last words", string(b))
			writeTo(t, client, "reply")
			require.NoError(t, client.Flush())
			b = make([]byte, 5)
			_, err = io.ReadFull(server, b)
			require.NoError(t, err)
			assert.Equal(t, "reply", string(b))
		})
	}
}

func TestConnCloseWriteUnsupported(t *testing.T) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	c := pipelining.NewConn(struct{ net.Conn }{l.B})
	writeTo(t, c, "last words")
	require.ErrorIs(t, c.CloseWrite(), errors.ErrUnsupported)
	assert.Equal(t, []string{"last words"}, sent(l), "it is flushed all the same")
}

func TestConnReadsBehindReadByte(t *testing.T) {
	const text = "<a>\x00\xff \x16\x03\x01 ]]> & <!-- </a>"
	for _, chunk := range []int{0, 1, 7} {
		for _, size := range []int{1, 2, 5, 100} {
			for split := range len(text) + 1 {
				l := xmpptest.NewLink(xmpptest.LinkConfig{Chunk: chunk})
				c := pipelining.NewConn(l.B)
				writeTo(t, l.A, text)
				require.NoError(t, l.CloseWrite(xmpptest.A))
				var got []byte
				for range split {
					b, err := c.ReadByte()
					require.NoError(t, err)
					got = append(got, b)
				}
				// One Read, then bytes again, and the rest by Read.
				p := make([]byte, size)
				n, err := c.Read(p)
				if split < len(text) {
					require.NoError(t, err)
					require.Positive(t, n)
				}
				got = append(got, p[:n]...)
				if b, err := c.ReadByte(); err == nil {
					got = append(got, b)
				}
				for err = error(nil); err == nil; {
					n, err = c.Read(p)
					got = append(got, p[:n]...)
				}
				require.Equal(t, io.EOF, err)
				require.Equal(t, text, string(got), "chunk %d, size %d, split %d", chunk, size, split)
			}
		}
	}
}

func TestConnUnderADecoder(t *testing.T) {
	const (
		head = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a>b'>`
		rest = "\x16\x03\x01\x00</not><xml &"
	)
	for name, root := range map[string]string{
		"start tag": head,
		"end tag":   head + `<a>text &amp; <![CDATA[<>]]></a><b/></stream:stream>`,
		"empty":     `<starttls/>`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, chunk := range []int{0, 1} {
				l := xmpptest.NewLink(xmpptest.LinkConfig{Chunk: chunk})
				c := pipelining.NewConn(l.B)
				writeTo(t, l.A, root+rest)
				require.NoError(t, l.CloseWrite(xmpptest.A))
				d := xml.NewDecoder(c)
				for depth := 0; ; {
					tok, err := d.Token()
					require.NoError(t, err)
					switch tok.(type) {
					case xml.StartElement:
						depth++
					case xml.EndElement:
						depth--
					default:
						continue
					}
					if name == "start tag" || depth == 0 {
						break
					}
				}
				got, err := io.ReadAll(c)
				require.NoError(t, err)
				assert.Equal(t, rest, string(got))
			}
		})
	}
}

func TestConnUnderDecodersInARow(t *testing.T) {
	c, l := newConn(t)
	writeTo(t, l.A, "<a>1</a><b>2</b><c>3</c>")
	for i, name := range []string{"a", "b", "c"} {
		var v struct {
			XMLName xml.Name
			Text    int `xml:",chardata"`
		}
		require.NoError(t, xml.NewDecoder(c).Decode(&v))
		assert.Equal(t, name, v.XMLName.Local)
		assert.Equal(t, i+1, v.Text)
	}
}
