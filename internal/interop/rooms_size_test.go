// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/interop"
)

// crowdEnv is how many occupants the largest room of TestRoomSize has: 100, 1000 or 10000.
const crowdEnv = "XMPPEXT_CROWD"

// sizes are those of its rooms. Visits to the largest are few, as each makes Prosody
// pass on 30 000 stanzas.
var sizes = []struct{ occupants, visits int }{{100, 10}, {1000, 10}, {10000, 3}}

// crowdModule lets Prosody's own rooms be filled at once: when one enters, each hears of
// each other, which takes hours for 10 000.
const crowdModule = `local st = require "prosody.util.stanza";
local muc = module:depends "muc";
local hash = require "prosody.util.hashes".hmac_sha256;
local base64 = require "prosody.util.encodings".base64.encode;

local function occupant_id(bare) return base64(hash(bare, "salt")); end

module:hook("iq-set/host/urn:xmppext:crowd:crowd", function (event)
	local crowd = event.stanza.tags[1];
	local room = muc.create_room(crowd.attr.room);
	for i = 0, tonumber(crowd.attr.occupants) - 1 do
		local bare = "u"..i.."@"..crowd.attr.domain;
		local nick = room.jid.."/u"..i;
		local presence = st.presence({ from = bare.."/phone", to = nick });
		for _, child in ipairs(crowd.tags) do
			presence:add_child(st.clone(child));
		end
		-- What it adds to the presence of whoever enters.
		presence:tag("occupant-id", { xmlns = "urn:xmpp:occupant-id:0", id = occupant_id(bare) }):up();
		local occupant = room:new_occupant(bare, nick);
		occupant:set_session(bare.."/phone", presence);
		room:save_occupant(occupant);
	end
	event.origin.send(st.reply(event.stanza));
	return true;
end);
`

// TestRoomSize is TestRoomCost for rooms that are full from the beginning, and so may have
// 10 000 occupants:
//
//	XMPPEXT_CROWD=10000 go test -run TestRoomSize -v -timeout 60m ./internal/interop
//
// The occupants of Prosody's rooms are put there by a module. Those of mucroom are in
// the database that it begins with, and enter again, as after any restart.
func TestRoomSize(t *testing.T) {
	most := sizes[0].occupants
	if text := os.Getenv(crowdEnv); text != "" {
		var err error
		most, err = strconv.Atoi(text)
		require.NoError(t, err, crowdEnv)
	} else {
		t.Logf("set %s=10000 to measure what larger rooms cost; it takes twenty minutes", crowdEnv)
	}
	require.GreaterOrEqual(t, most, sizes[0].occupants, crowdEnv)

	component := interop.NewComponent(t, roomsDomain, roomsSecret)
	others := interop.Component{Domain: crowdDomain, Secret: roomsSecret, Addr: component.Addr}
	modules := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(modules, "mod_crowd.lua"), []byte(crowdModule), 0o600))
	cfg := others.Prosody(component.Prosody(interop.Config{
		Users:    map[string]string{"hag": "h4g"},
		Settings: roomsSettings + fmt.Sprintf("\nplugin_paths = { %q }\n", modules),
	}))
	cfg.Sections += fmt.Sprintf("\nComponent %q \"muc\"\n\tmuc_room_locking = false\n\tmodules_enabled = { \"crowd\" }\n", ownDomain)
	server := interop.Prosody(t, cfg)
	c := gather(t, others)

	dir, inside := t.TempDir(), 0
	marks := make(map[int]roomStanza)
	for _, size := range sizes {
		if size.occupants <= most {
			marks[size.occupants] = fillStored(t, dir, fmt.Sprint("r", size.occupants), size.occupants-1)
			inside += size.occupants - 1
		}
	}
	program := serveRooms(t, component, "-data", dir, "-grace", "2h", "-max-occupants", "10000")
	m := meter{server.PID(), program.cmd.Process.Pid}
	c.await(t, inside, 0) // They are told to enter again.

	var rows []row
	tenBytes := make(map[int]int)
	for _, size := range sizes {
		n := size.occupants
		known, ok := marks[n]
		if !ok {
			continue
		}
		b := &bout{
			server: server, meter: m, n: n, visits: size.visits,
			own:  &venue{crowd: c, name: "Prosody", room: fmt.Sprint("r", n, "@", ownDomain), inside: n - 1},
			ours: &venue{crowd: c, name: "mucroom", room: fmt.Sprint("r", n, "@", roomsDomain), inside: n - 1},
		}
		c.write(t, `<iq type="set" id="fill" from="%s" to="%s"><crowd xmlns="urn:xmppext:crowd" room="%s" occupants="%d" domain="%[1]s">%[5]s</crowd></iq>`,
			crowdDomain, ownDomain, b.own.room, n-1, strings.ReplaceAll(presents, "<show", `<show xmlns="jabber:client"`))
		b.own.change(t, 0, 1)

		before, received, begun := m.used(t), c.received(), time.Now()
		b.ours.resume(t, known)
		c.await(t, n-1, 0) // Each hears of itself only.
		t.Logf("%s: %d have entered again in %v, for %d bytes; %v", b.ours.room, n-1,
			time.Since(begun).Round(time.Millisecond), c.received()-received, m.used(t).minus(before))
		b.compare(t)
		rows = append(rows, b.rows...)
		whole, ten := find(b.rows, b.ours, wholeState), find(b.rows, b.ours, changed(10))
		tenBytes[n] = ten.bytes
		if n >= 1000 {
			assert.LessOrEqual(t, 1000*ten.bytes, mostPermill*whole.bytes, "MF-10: %d of %d bytes", ten.bytes, whole.bytes)
			assert.InEpsilon(t, tenBytes[100], ten.bytes, 0.02, "MF-10: it does not depend on the size of the room")
		}
	}
	t.Logf("Prosody %s\n\n%s", server.Version, drawRows(rows))
}

// fillStored puts so many occupants into a room that mucroom will begin with. It returns
// what they know.
func fillStored(t *testing.T, dir, room string, occupants int) (known roomStanza) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "-C", filepath.Join("..", "..", "examples"), "run", "-buildvcs=false", "./internal/crowd",
		"-data", dir, "-occupants", strconv.Itoa(occupants), "-domain", crowdDomain, "-presence", presents, room+"@"+roomsDomain)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	_, err = fmt.Sscan(string(out), &known.Session.Session, &known.Session.ID)
	require.NoError(t, err)
	return known
}

// compare lets the client enter both rooms, and come back after some have changed.
func (b *bout) compare(t *testing.T) {
	t.Helper()
	whole := b.n + 1 // the others, itself, and the subject
	known := b.ours.visit(t, b.server, b.meter, presenceSession("")).stanzas[b.n]
	b.visit(t,
		row{venue: b.own, what: wholeState, stanzas: whole},
		row{venue: b.ours, what: knowsNone, stanzas: whole},
		row{venue: b.ours, what: wholeState, stanzas: whole, request: presenceSession("")},
	)
	done := 0
	for _, n := range []int{0, 10, min(100, b.n-1)} {
		// Prosody's room has the same to say whatever has changed.
		b.ours.change(t, done, n)
		done = n
		b.visit(t, row{venue: b.ours, what: changed(n), stanzas: n + 2, request: presenceSession(known.resume())})
	}
}
