// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/interop"
)

const (
	crowdDomain = "crowd.example"

	// batch is how many of the crowd do something at once in a room of up to 1000. What it
	// makes of that is less than Prosody buffers for a connection, which is 32 MB.
	batch = 10

	// late is how long that may take: Prosody needs minutes for a visit to a room of 10 000.
	late = 10 * time.Minute

	// capabilities are those that clients commonly send with a presence.
	capabilities = `<c xmlns="http://jabber.org/protocol/caps" hash="sha-1" node="https://client.example" ver="QgayPKawpkPSDYmwT/WM94uAlu0="/>`

	// presents is what the presence of a client has in it, and enters what that has by
	// which it enters. It wants no messages.
	presents = `<show>away</show>` + capabilities
	enters   = presents + `<x xmlns="http://jabber.org/protocol/muc"><history maxstanzas="0"/></x>`
)

// A crowd is a component whose addresses are in rooms. It does not read what it
// receives, and counts it.
type crowd struct {
	conn net.Conn
	done chan struct{} // closed when nothing is read any more

	presencesDue, messagesDue int // that are to be received, since the beginning

	mu                         sync.Mutex
	presences, messages, bytes int
	err                        error
	more                       chan struct{}
}

// gather attaches it. It goes with the test.
func gather(t *testing.T, c interop.Component) *crowd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.Addr)
	require.NoError(t, err)
	g := &crowd{conn: conn, done: make(chan struct{}), more: make(chan struct{}, 1)}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = component.NewSession(ctx, jid.MustParse(c.Domain), []byte(c.Secret), conn)
	require.NoError(t, err)
	go g.read()
	t.Cleanup(func() {
		_ = conn.Close()
		<-g.done
	})
	return g
}

// read counts stanzas by their ends, of which there is one in each: those that rooms
// send have children.
func (c *crowd) read() {
	defer close(c.done)
	const most = 16 // more than a mark has
	buf := make([]byte, most+256<<10)
	known := 0 // bytes at the beginning that were looked at before
	for {
		n, err := c.conn.Read(buf[known:])
		before, all := buf[:known], buf[:known+n]
		count := func(mark string) int {
			return bytes.Count(all, []byte(mark)) - bytes.Count(before, []byte(mark))
		}
		c.mu.Lock()
		c.bytes += n
		c.presences += count("</presence>")
		c.messages += count("</body>")
		if count("type='error'") > 0 && err == nil {
			err = fmt.Errorf("an error came: %s", all)
		}
		c.err = err
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
		known = copy(buf, all[max(0, len(all)-most):])
	}
}

// write sends a stanza.
func (c *crowd) write(t *testing.T, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(c.conn, format, args...)
	require.NoError(t, err)
}

// await waits until so many more stanzas have been received.
func (c *crowd) await(t *testing.T, presences, messages int) {
	t.Helper()
	c.presencesDue += presences
	c.messagesDue += messages
	late := time.NewTimer(late)
	defer late.Stop()
	for {
		c.mu.Lock()
		p, m, err := c.presences, c.messages, c.err
		c.mu.Unlock()
		require.NoError(t, err)
		if p >= c.presencesDue && m >= c.messagesDue {
			require.Equal(t, []int{c.presencesDue, c.messagesDue}, []int{p, m}, "presences and messages of the crowd")
			return
		}
		select {
		case <-c.more:
		case <-late.C:
			require.Fail(t, "it did not come", "%d of %d presences, %d of %d messages", p, c.presencesDue, m, c.messagesDue)
		}
	}
}

// received returns how many bytes have been received.
func (c *crowd) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// member returns the address of one of the crowd.
func member(i int) string { return fmt.Sprintf("u%d@%s/phone", i, crowdDomain) }

// presenceSession returns the element by which a client opts in, or resumes.
func presenceSession(attributes string) string {
	return `<presence-session xmlns="urn:xmpp:presence-session:0" ` + attributes + `/>`
}

// A venue is a room of the crowd.
type venue struct {
	crowd  *crowd
	name   string // of its service
	room   string // its address
	inside int    // of the crowd
}

// fill lets more of the crowd enter, until there are n.
func (v *venue) fill(t *testing.T, n int) {
	t.Helper()
	for v.inside < n {
		due := 0
		for range min(batch, n-v.inside) {
			v.crowd.write(t, `<presence from="%s" to="%s/u%d">%s</presence>`, member(v.inside), v.room, v.inside, enters)
			if v.inside == 0 {
				v.crowd.write(t, `<iq type="set" id="own" from="%s" to="%s"><query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit">`+
					`<field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#roomconfig</value></field>`+
					`<field var="muc#roomconfig_maxusers"><value>1000</value></field></x></query></iq>`, member(0), v.room)
			}
			due += 2*v.inside + 1 // It hears of them, they of it, and it of itself.
			v.inside++
		}
		v.crowd.await(t, due, 0)
	}
}

// optIn lets all of them opt in. They say that they know what somebody knew who has left
// since: that is all that each hears of, and of itself.
func (v *venue) optIn(t *testing.T, known roomStanza) {
	t.Helper()
	v.resume(t, known)
	v.crowd.await(t, 2*v.inside, 0)
}

// resume lets all of them enter again, with what they know.
func (v *venue) resume(t *testing.T, known roomStanza) {
	t.Helper()
	for i := range v.inside {
		v.crowd.write(t, `<presence from="%s" to="%s/u%d">%s%s</presence>`, member(i), v.room, i, enters, presenceSession(known.resume()))
	}
}

// change lets some of them change.
func (v *venue) change(t *testing.T, from, to int) {
	t.Helper()
	for from < to {
		some := min(max(1, min(batch, 1000*batch/v.inside)), to-from)
		for i := range some {
			v.crowd.write(t, `<presence from="%s" to="%s/u%d"><show>dnd</show>%s</presence>`, member(from+i), v.room, from+i, capabilities)
		}
		v.crowd.await(t, some*v.inside, 0)
		from += some
	}
}

// say lets the first of them say something so many times.
func (v *venue) say(t *testing.T, times int) {
	t.Helper()
	for range times {
		v.crowd.write(t, `<message type="groupchat" id="m1" from="%s" to="%s"><body>A message of the size that messages have in a chat room, more or less.</body></message>`,
			member(0), v.room)
	}
	v.crowd.await(t, 0, times*v.inside)
}

// A stay is what a client gets that enters, and what that takes.
type stay struct {
	stanzas []roomStanza
	bytes   int // inside of TLS
	took    time.Duration
	used    used
}

// visit lets a client log in, enter with a request, and lose its connection.
func (v *venue) visit(t *testing.T, server *interop.Server, m meter, request string) (s stay) {
	t.Helper()
	g := logIn(t, server, "hag", "h4g")
	require.NoError(t, g.conn.SetDeadline(time.Now().Add(late)))
	// Nothing of the session reads any more.
	readUntil(t, g.session.Conn(), func(b []byte) bool { return bytes.HasSuffix(b, []byte(">")) }) // its own presence

	before, begun := m.used(t), time.Now()
	g.say(t, `<presence to="`+v.room+`/hag">`+enters+request+`</presence>`)
	all := readUntil(t, g.session.Conn(), func(b []byte) bool {
		return bytes.HasSuffix(b, []byte("</message>")) && bytes.Contains(b, []byte("<subject"))
	})
	s.took, s.bytes = time.Since(begun), len(all)
	v.crowd.await(t, v.inside, 0)
	s.used = m.used(t).minus(before)

	require.NoError(t, g.conn.Close())
	v.crowd.await(t, v.inside, 0)

	d := xml.NewDecoder(io.MultiReader(strings.NewReader(`<stream xmlns="jabber:client">`), bytes.NewReader(all), strings.NewReader("</stream>")))
	var stream struct {
		All []roomStanza `xml:",any"`
	}
	require.NoError(t, d.Decode(&stream))
	s.stanzas = stream.All
	for _, one := range s.stanzas {
		require.Contains(t, one.From+"/", v.room+"/", "%v", one)
		require.Contains(t, []string{"", "groupchat"}, one.Type, "%v", one)
	}
	return s
}

// readUntil returns all that is read until it is enough.
func readUntil(t *testing.T, r io.Reader, enough func([]byte) bool) (all []byte) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for !enough(all) {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		require.NoError(t, err, "%s", all[max(0, len(all)-1000):])
	}
	return all
}

// used is the processor time of the servers.
type used struct{ prosody, mucroom time.Duration }

func (u used) plus(o used) used  { return used{u.prosody + o.prosody, u.mucroom + o.mucroom} }
func (u used) minus(o used) used { return used{u.prosody - o.prosody, u.mucroom - o.mucroom} }
func (u used) over(n int) used {
	return used{u.prosody / time.Duration(n), u.mucroom / time.Duration(n)}
}

func (u used) String() string {
	return fmt.Sprintf("processor time: Prosody %v, mucroom %v", u.prosody.Round(time.Millisecond), u.mucroom.Round(time.Millisecond))
}

// A meter has the ids of the two processes. Where Linux does not say it reads zero.
type meter struct{ prosody, mucroom int }

// used returns what they have used so far.
func (m meter) used(t *testing.T) used {
	t.Helper()
	return used{processorTime(t, m.prosody), processorTime(t, m.mucroom)}
}

// processorTime returns that of all threads. That of the process is the same in
// hundredths of a second, which is more than mucroom uses for most of what it does.
func processorTime(t *testing.T, pid int) (used time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(t, err)
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // It has just ended.
		}
		require.NoError(t, err)
		running, _, _ := strings.Cut(string(stat), " ") // in nanoseconds
		n, err := strconv.Atoi(running)
		require.NoError(t, err)
		used += time.Duration(n)
	}
	return used
}

// written returns how many bytes mucroom has written so far, next to all of them to
// Prosody.
func (m meter) written(t *testing.T) int {
	t.Helper()
	counters, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", m.mucroom))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(counters), "wchar: ")
	require.True(t, ok)
	number, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(number)
	require.NoError(t, err)
	return n
}
