// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"cmp"
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
// send. In the tables in its log times are medians, and processor times are means. A
// visit is one from the request to enter to the subject; its processor time includes that
// all others are told. How the client logs in is not part of it.
//
// What is asserted are stanzas and bytes; all else is up to the machine.
func TestRoomCost(t *testing.T) {
	text := os.Getenv(roomsEnv)
	if text == "" {
		t.Skipf("set %s=1000 to measure what rooms of 1000 cost; it takes a quarter of an hour", roomsEnv)
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
		b := &bout{
			server: server, meter: m, n: n, visits: 10,
			own:  &venue{crowd: c, name: "Prosody", room: fmt.Sprint("r", n, "@", ownDomain)},
			ours: &venue{crowd: c, name: "mucroom", room: fmt.Sprint("r", n, "@", roomsDomain)},
		}
		b.run(t)
		rows, said = append(rows, b.rows...), append(said, b.said...)
		if n == 1000 {
			whole, ten := find(b.rows, b.ours, wholeState), find(b.rows, b.ours, changed(10))
			assert.LessOrEqual(t, 1000*ten.bytes, mostPermill*whole.bytes, "MF-10: %d of %d bytes", ten.bytes, whole.bytes)
		}
	}
	t.Logf("Prosody %s; messages: %d\n\n%s\n%s", server.Version, broadcasts, drawRows(rows), drawSayings(said))
}

// What a client does, and what happens meanwhile.
const (
	wholeState = "enters"
	knowsNone  = "enters, without XEP-0311"
	oneChange  = "(another one changes)" // and all the others hear of it
)

// changed is what it does after some others have changed.
func changed(n int) string { return fmt.Sprintf("comes back, %d changed", n) }

// A bout compares two rooms of n occupants. They take turns, because the machine may be
// slower at times.
type bout struct {
	server    *interop.Server
	meter     meter
	n         int // occupants
	visits    int // of each kind
	own, ours *venue

	rows []row
	said []saying
}

// A row is what something costs in one room.
type row struct {
	venue          *venue
	what, request  string
	stanzas, bytes int // that are received
	took           time.Duration
	used           used
}

func find(rows []row, v *venue, what string) row {
	return rows[slices.IndexFunc(rows, func(r row) bool { return r.venue == v && r.what == what })]
}

// run fills the rooms with all but one, who enters and comes back.
func (b *bout) run(t *testing.T) {
	t.Helper()
	for _, v := range []*venue{b.own, b.ours} {
		before, begun := b.meter.used(t), time.Now()
		v.fill(t, b.n-1)
		t.Logf("%s: %d have entered in %v; %v", v.room, v.inside, time.Since(begun).Round(time.Millisecond), b.meter.used(t).minus(before))
	}
	without := b.say(t, "mucroom, none opted in")
	known := b.ours.visit(t, b.server, b.meter, presenceSession("")).stanzas[b.n]
	b.ours.optIn(t, known)

	whole := b.n + 1 // the others, itself, and the subject
	b.visit(t,
		row{venue: b.own, what: wholeState, stanzas: whole},
		row{venue: b.ours, what: knowsNone, stanzas: whole},
		row{venue: b.ours, what: wholeState, stanzas: whole, request: presenceSession("")},
	)
	changes := []row{{venue: b.own, what: oneChange}, {venue: b.ours, what: oneChange}}
	done := 0
	for _, n := range slices.Compact([]int{0, min(10, b.n-1), min(100, b.n-1), b.n - 1}) {
		for i := range changes {
			r := &changes[i]
			before, received, begun := b.meter.used(t), r.venue.crowd.received(), time.Now()
			r.venue.change(t, done, n)
			r.took += time.Since(begun)
			r.bytes += r.venue.crowd.received() - received
			r.used = r.used.plus(b.meter.used(t).minus(before))
		}
		done = n
		b.visit(t,
			row{venue: b.own, what: changed(n), stanzas: whole},
			// What it knows is as good each time: nobody else changes between its visits.
			row{venue: b.ours, what: changed(n), stanzas: n + 2, request: presenceSession(known.resume())},
		)
	}
	for _, r := range changes {
		r.stanzas, r.bytes, r.took, r.used = r.venue.inside, r.bytes/done, r.took/time.Duration(done), r.used.over(done)
		b.rows = append(b.rows, r)
	}
	slices.SortStableFunc(b.rows, func(x, y row) int { return cmp.Compare(x.venue.name, y.venue.name) })

	with := b.say(t, "mucroom, all opted in")
	assert.Greater(t, with.received, without.received, "all have opted in")
	t.Logf("a message to %d who have opted in: %.2f x the bytes of one to others, %.2f x mucroom's processor time, %.2f x Prosody's", with.occupants,
		float64(with.written)/float64(without.written), float64(with.used.mucroom)/float64(without.used.mucroom), float64(with.used.prosody)/float64(without.used.prosody))
}

// visit lets the client visit rooms, and adds what that costs to the rows.
func (b *bout) visit(t *testing.T, rows ...row) {
	t.Helper()
	times := make([][]time.Duration, len(rows))
	for range b.visits {
		for i := range rows {
			r := &rows[i]
			one := r.venue.visit(t, b.server, b.meter, r.request)
			require.Len(t, one.stanzas, r.stanzas, "%s: %s", r.venue.room, r.what)
			times[i] = append(times[i], one.took)
			r.bytes, r.used = max(r.bytes, one.bytes), r.used.plus(one.used)
		}
	}
	for i, r := range rows {
		slices.Sort(times[i])
		r.took, r.used = times[i][b.visits/2], r.used.over(b.visits)
		b.rows = append(b.rows, r)
	}
}

// drawRows returns a table of them.
func drawRows(rows []row) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "occupants\troom\tclient\tstanzas\tbytes\tof whole\ttime\tCPU Prosody\tCPU mucroom\t")
	for _, r := range rows {
		part := ""
		if r.what != oneChange {
			part = fmt.Sprintf("%.2f %%", 100*float64(r.bytes)/float64(find(rows, r.venue, wholeState).bytes))
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t\n", r.venue.inside+1, r.venue.name, r.what,
			r.stanzas, r.bytes, part, millis(r.took), millis(r.used.prosody), millis(r.used.mucroom))
	}
	_ = w.Flush()
	return text.String()
}

// A saying is what a message costs.
type saying struct {
	occupants int
	room      string
	written   int // bytes, by mucroom, to Prosody
	received  int // bytes, by the others
	used      used
}

// say lets one say something in both rooms, again and again. It returns what that costs
// in ours.
func (b *bout) say(t *testing.T, name string) saying {
	t.Helper()
	all := []saying{{room: "Prosody, meanwhile"}, {room: name}}
	for range broadcasts / batch {
		for i, v := range []*venue{b.own, b.ours} {
			s := &all[i]
			before, written, received := b.meter.used(t), b.meter.written(t), v.crowd.received()
			v.say(t, batch)
			s.used = s.used.plus(b.meter.used(t).minus(before))
			s.written += b.meter.written(t) - written
			s.received += v.crowd.received() - received
		}
	}
	for i := range all {
		s := &all[i]
		s.occupants, s.written, s.received, s.used = b.ours.inside, s.written/broadcasts, s.received/broadcasts, s.used.over(broadcasts)
	}
	b.said = append(b.said, all...)
	return all[1]
}

// drawSayings returns a table of them.
func drawSayings(all []saying) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "a message to\tin a room of\tmucroom writes\tall receive\tCPU Prosody\tCPU mucroom\t")
	for _, s := range all {
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%s\t\n", s.occupants, s.room, s.written, s.received, millis(s.used.prosody), millis(s.used.mucroom))
	}
	_ = w.Flush()
	return text.String()
}

// millis returns a time as tables have it.
func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
