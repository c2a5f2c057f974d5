// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/interop"
)

const (
	// roomsEnv is how many occupants the larger rooms of TestRoomCost have, from 100 to
	// the 1000 that examples/mucroom lets in.
	roomsEnv = "XMPPEXT_ROOMS"

	ownDomain = "muc.example" // Prosody's own rooms

	visits      = 10 // of which a row has the medians and the means
	broadcasts  = 200
	mostPermill = 15 // of a whole state, for 10 changes among 1000
)

// roomsSettings are Prosody's. It would wait for the client's kernel otherwise, and
// write more to its log than to its clients.
const roomsSettings = `
network_settings = { nagle = false }
log = { { to = "stdout", levels = { min = "info" }, timestamps = true } }
`

// TestRoomCost compares what it costs to come back to a room of Prosody's own and to one
// of examples/mucroom, which is attached to the same Prosody:
//
//	XMPPEXT_ROOMS=1000 go test -run TestRoomCost -v -timeout 30m ./internal/interop
//
// There are rooms of so many occupants and of a tenth of that, one of whom is a client
// that loses its connection. The others belong to a component, and send what clients
// send. The table in its log has, of several visits, medians of times and means of
// processor time. A visit is one from the request to enter to the subject; its processor
// time includes that all others are told. How the client logs in is not part of it.
//
// What is asserted are stanzas and bytes; all else is up to the machine.
func TestRoomCost(t *testing.T) {
	text := os.Getenv(roomsEnv)
	if text == "" {
		t.Skipf("set %s=1000 to measure what rooms of 1000 cost; it takes some minutes", roomsEnv)
	}
	most, err := strconv.Atoi(text)
	require.NoError(t, err, roomsEnv)
	require.True(t, 100 <= most && most <= 1000, "%s=%d is not from 100 to 1000", roomsEnv, most)

	component := interop.NewComponent(t, roomsDomain, roomsSecret)
	others := interop.Component{Domain: crowdDomain, Secret: roomsSecret, Addr: component.Addr}
	cfg := others.Prosody(component.Prosody(interop.Config{
		Users:    map[string]string{"hag": "h4g"},
		Settings: roomsSettings,
	}))
	cfg.Sections += fmt.Sprintf("\nComponent %q \"muc\"\n\tmuc_room_locking = false\n", ownDomain)
	server := interop.Prosody(t, cfg)
	c := gather(t, others)
	m := meter{server.PID(), serveRooms(t, component).cmd.Process.Pid}

	var rows []row
	var said []saying
	for _, n := range []int{most / 10, most} {
		own := &venue{crowd: c, room: fmt.Sprint("all", n, "@", ownDomain)}
		r, s := own.compare(t, server, m, n)
		rows, said = append(rows, r...), append(said, s...)

		ours := &venue{crowd: c, room: fmt.Sprint("all", n, "@", roomsDomain), resumes: true}
		r, s = ours.compare(t, server, m, n)
		rows, said = append(rows, r...), append(said, s...)
		without, with := s[0], s[1]
		assert.Greater(t, with.received, without.received, "all have opted in")
		t.Logf("%d occupants: a message that is annotated takes %.2f x the bytes and %.2f x the processor time of mucroom, and %.2f x that of Prosody", with.occupants,
			float64(with.written)/float64(without.written), float64(with.used.mucroom)/float64(without.used.mucroom), float64(with.used.prosody)/float64(without.used.prosody))

		if n == 1000 {
			whole, ten := find(r, wholeState), find(r, changed(10))
			assert.LessOrEqual(t, 1000*ten.bytes, mostPermill*whole.bytes, "MF-10: %d of %d bytes", ten.bytes, whole.bytes)
		}
	}
	t.Logf("Prosody %s, %d visits, %d messages\n\n%s\n%s", server.Version, visits, broadcasts, drawRows(rows), drawSayings(said))
}

// What a client does, and what happens meanwhile.
const (
	wholeState = "enters"
	knowsNone  = "enters, without XEP-0311"
	oneChange  = "(another one changes)" // and all the others hear of it
)

// changed is what it does after some others have changed.
func changed(n int) string { return fmt.Sprintf("comes back, %d changed", n) }

// A row is what something costs in one room.
type row struct {
	occupants      int
	room, what     string
	stanzas, bytes int // that are received
	whole          int // bytes of the whole state, if the client receives them
	took           time.Duration
	used           used
}

func find(rows []row, what string) row {
	return rows[slices.IndexFunc(rows, func(r row) bool { return r.what == what })]
}

// compare fills the room with all but one, who enters and comes back.
func (v *venue) compare(t *testing.T, server *interop.Server, m meter, n int) (rows []row, said []saying) {
	t.Helper()
	name := "Prosody"
	if v.resumes {
		name = "mucroom"
	}
	measure := func(what, request string, stanzas int) {
		r := row{occupants: n, room: name, what: what, stanzas: stanzas}
		var times []time.Duration
		for range visits {
			one := v.visit(t, server, m, request)
			require.Len(t, one.stanzas, stanzas, "%s: %s", v.room, what)
			times = append(times, one.took)
			r.bytes, r.used = max(r.bytes, one.bytes), r.used.plus(one.used)
		}
		slices.Sort(times)
		r.took, r.used = times[visits/2], r.used.over(visits)
		rows = append(rows, r)
	}

	before, begun := m.used(t), time.Now()
	v.fill(t, n-1)
	t.Logf("%s: %d have entered in %v; %v", v.room, v.inside, time.Since(begun).Round(time.Millisecond), m.used(t).minus(before))
	var known roomStanza
	whole := n + 1 // the others, itself, and the subject
	if v.resumes {
		said = append(said, v.say(t, m, "mucroom, none opted in"))
		measure(knowsNone, "", whole)
		known = v.visit(t, server, m, presenceSession("")).stanzas[n]
		v.optIn(t, known)
		measure(wholeState, presenceSession(""), whole)
	} else {
		measure(wholeState, "", whole)
	}

	done, change := 0, row{occupants: n, room: name, what: oneChange, stanzas: v.inside}
	for _, changes := range []int{0, 10, 100, n - 1} {
		if changes > n-1 || changes > 0 && changes == done {
			continue
		}
		before, received, begun := m.used(t), v.crowd.received(), time.Now()
		v.change(t, done, changes)
		change.took += time.Since(begun)
		change.bytes += v.crowd.received() - received
		change.used = change.used.plus(m.used(t).minus(before))
		done = changes
		if v.resumes {
			// What it knows is as good each time: nobody else changes between its visits.
			measure(changed(changes), presenceSession(known.resume()), changes+2)
		} else {
			measure(changed(changes), "", whole)
		}
	}
	for i := range rows {
		rows[i].whole = find(rows, wholeState).bytes
	}
	change.took, change.bytes, change.used = change.took/time.Duration(done), change.bytes/done, change.used.over(done)
	name += map[bool]string{true: ", all opted in"}[v.resumes]
	return append(rows, change), append(said, v.say(t, m, name))
}

// drawRows returns a table of them.
func drawRows(rows []row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "occupants\troom\tclient\tstanzas\tbytes\tof whole\ttime\tCPU Prosody\tCPU mucroom\t")
	for _, r := range rows {
		part := ""
		if r.whole > 0 {
			part = fmt.Sprintf("%.2f %%", 100*float64(r.bytes)/float64(r.whole))
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t\n", r.occupants, r.room, r.what,
			r.stanzas, r.bytes, part, millis(r.took), millis(r.used.prosody), millis(r.used.mucroom))
	}
	_ = w.Flush()
	return b.String()
}

// A saying is what a message costs.
type saying struct {
	occupants int
	room      string
	written   int // bytes, by mucroom, to Prosody
	received  int // bytes, by the others
	used      used
}

// say lets one say something, again and again, for all.
func (v *venue) say(t *testing.T, m meter, name string) saying {
	t.Helper()
	before, written, received := m.used(t), m.written(t), v.crowd.received()
	for range broadcasts / batch {
		for range batch {
			v.crowd.write(t, `<message type="groupchat" id="m1" from="%s" to="%s"><body>A message of the size that messages have in a chat room, more or less.</body></message>`,
				member(0), v.room)
		}
		v.crowd.await(t, 0, batch*v.inside)
	}
	return saying{
		v.inside, name, (m.written(t) - written) / broadcasts, (v.crowd.received() - received) / broadcasts,
		m.used(t).minus(before).over(broadcasts),
	}
}

// drawSayings returns a table of them.
func drawSayings(all []saying) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "a message to\tin a room of\tmucroom writes\tall receive\tCPU Prosody\tCPU mucroom\t")
	for _, s := range all {
		fmt.Fprintf(w, "%d\t%s\t%d B\t%d B\t%s\t%s\t\n", s.occupants, s.room, s.written, s.received, millis(s.used.prosody), millis(s.used.mucroom))
	}
	_ = w.Flush()
	return b.String()
}

// millis returns a time as tables have it.
func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
