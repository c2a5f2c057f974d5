// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/interop"
)

const (
	roomsDomain = "rooms.example"
	roomsSecret = "s3cr3t"
	cave        = "cave@" + roomsDomain
)

// hosts are the servers that may have the component.
var hosts = []struct {
	name  string
	start func(*testing.T, interop.Component, interop.Config) *interop.Server
}{
	{"Prosody", func(t *testing.T, c interop.Component, cfg interop.Config) *interop.Server {
		return interop.Prosody(t, c.Prosody(cfg))
	}},
	{"ejabberd", func(t *testing.T, c interop.Component, cfg interop.Config) *interop.Server {
		return interop.Ejabberd(t, c.Ejabberd(cfg))
	}},
}

// A visit is what a program is told that visits a room: to enter, to say hello, to
// wait for a welcome by the peer, to tell the peer something in private and to wait
// for an answer, to ping itself, to take another nickname, and to leave.
type visit struct {
	JID      string `json:"jid"`
	Password string `json:"password"`
	Addr     string `json:"addr"`
	CA       string `json:"ca"`
	Room     string `json:"room"`
	Nick     string `json:"nick"`
	NewNick  string `json:"newNick"`
	Peer     string `json:"peer"`
}

// visited is what it says of that.
type visited struct {
	Occupants []string `json:"occupants"`
	Subject   string   `json:"subject"`
	Heard     []string `json:"heard"` // in the room, and behind "psst: " in private
	Nick      string   `json:"nick"`
	Pinged    bool     `json:"pinged"`
	Left      bool     `json:"left"`
	Error     string   `json:"error"`
}

// visitors are programs that visit rooms, and the clients that they use.
var visitors = []struct {
	name, env, client string
	command           func(t *testing.T, launcher string) []string
}{
	{"slixmpp", "XMPPEXT_SLIXMPP", "slixmpp", func(_ *testing.T, launcher string) []string {
		return []string{launcher, filepath.Join("clients", "slixmpp-rooms.py")}
	}},
	{"xmpp.js", "XMPPEXT_XMPPJS", "xmppjs", func(_ *testing.T, launcher string) []string {
		return []string{launcher, filepath.Join("clients", "xmppjs-rooms.mjs")}
	}},
	{"go-xmpp", "XMPPEXT_GOXMPP", "goxmpp", func(t *testing.T, _ string) []string {
		// The launcher is another program; this one is built of the same module.
		program := filepath.Join(t.TempDir(), "rooms")
		build := exec.CommandContext(t.Context(), "go", "-C", filepath.Join("clients", "goxmpp"), "build", "-buildvcs=false", "-o", program, "./rooms")
		build.Env = append(os.Environ(), "GOWORK=off")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return []string{program}
	}},
	{"profanity", "XMPPEXT_PROFANITY", "profanity", inConsole("profanity")},
	{"mcabber", "XMPPEXT_MCABBER", "mcabber", inConsole("mcabber")},
}

// TestRooms attaches examples/mucroom to servers that are not ours, for clients that are
// not either.
func TestRooms(t *testing.T) {
	for _, host := range hosts {
		t.Run(host.name, func(t *testing.T) {
			component := interop.NewComponent(t, roomsDomain, roomsSecret)
			server := host.start(t, component, interop.Config{Users: map[string]string{
				"crone": "cr0ne", "hag": "h4g", "toad": "t04d",
			}})
			t.Logf("%s %s", host.name, server.Version)
			program := serveRooms(t, component, "-data", t.TempDir())
			crone := logIn(t, server, "crone", "cr0ne")
			crone.makeRoom(t)

			for _, v := range visitors {
				t.Run(v.name+" visits a room", func(t *testing.T) {
					launcher := os.Getenv(v.env)
					if launcher == "" {
						t.Skipf("interop: %s is not set; run: export %[1]s=$(bash .ci/clients %s)", v.env, v.client)
					}
					result, said := run(t, server, v.command(t, launcher), v.name)
					assert.Equal(t, visited{
						Occupants: []string{"crone", v.name}, Subject: "Brew",
						Heard: result.Heard, Nick: "hag", Pinged: v.name != "profanity", Left: true,
					}, result)
					assert.Subset(t, result.Heard, []string{v.name + ": hello from " + v.name, "crone: welcome " + v.name, "psst: psst to you"})
					assert.Empty(t, said, "it does not complain")
					crone.expectVisit(t, v.name, "hag")
				})
			}
			t.Run("mellium visits a room", func(t *testing.T) { visitWithMellium(t, server, crone) })
			t.Run("who comes back is told what has changed", func(t *testing.T) { comeBack(t, server, crone) })
			t.Run("who was away while the service was is told, too", func(t *testing.T) { restart(t, server, crone, program) })
		})
	}
}

// run runs a program, and returns what it says of its visit, and what else it says.
func run(t *testing.T, server *interop.Server, command []string, nick string) (result visited, said string) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, server.RootsPEM, 0o600))
	input, err := json.Marshal(visit{
		JID: "hag@" + server.Domain, Password: "h4g", Addr: server.STARTTLS, CA: ca,
		Room: cave, Nick: nick, NewNick: "hag", Peer: "crone",
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca) // Node.js reads it before the program runs
	require.NoError(t, cmd.Run(), "%s", &stderr)
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &result), "%s", &stdout)
	return result, stderr.String()
}

// visitWithMellium is a visit with mellium's client for rooms, which also makes one.
func visitWithMellium(t *testing.T, server *interop.Server, crone *guest) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	toad := logIn(t, server, "toad", "t04d")
	client := &muc.Client{}
	toad.serve(mux.New(stanza.NSClient, muc.HandleClient(client)))

	pond, err := client.Join(ctx, jid.MustParse("pond@"+roomsDomain+"/toad"), toad.session)
	require.NoError(t, err)
	form, err := muc.GetConfig(ctx, jid.MustParse("pond@"+roomsDomain), toad.session)
	require.NoError(t, err)
	ok, err := form.Set("muc#roomconfig_roomname", "The pond")
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, muc.SetConfig(ctx, jid.MustParse("pond@"+roomsDomain), form, toad.session))
	require.NoError(t, pond.SetAffiliation(ctx, muc.AffiliationMember, jid.MustParse("hag@"+server.Domain), "", ""))
	leaveWithMellium(ctx, t, pond)
	_, err = muc.GetConfig(ctx, jid.MustParse("pond@"+roomsDomain), toad.session)
	require.ErrorIs(t, err, stanza.Error{Condition: stanza.ItemNotFound}, "nobody is left in it")

	room, err := client.Join(ctx, jid.MustParse(cave+"/toad"), toad.session, muc.MaxHistory(0))
	require.NoError(t, err)
	crone.expect(t, `presence from cave@rooms.example/toad "" available none/participant`)
	leaveWithMellium(ctx, t, room)
	crone.expect(t, `presence from cave@rooms.example/toad "" unavailable none/none`)
}

// leaveWithMellium leaves a room. On a busy machine the answer may come before mellium
// waits for it, and is dropped then.
func leaveWithMellium(ctx context.Context, t *testing.T, room *muc.Channel) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := room.Leave(ctx, "croak"); !errors.Is(err, context.DeadlineExceeded) {
		require.NoError(t, err)
	}
}

// comeBack loses the connection and comes back with what the room is to be resumed at.
func comeBack(t *testing.T, server *interop.Server, crone *guest) {
	// A room of some more, where it costs less to hear what has changed.
	for _, nick := range []string{"one", "two", "three", "four"} {
		other := logIn(t, server, "hag", "h4g")
		other.listen()
		other.say(t, `<presence to="`+cave+`/`+nick+`"><x xmlns="http://jabber.org/protocol/muc"/></presence>`)
		other.expect(t, `message from cave@rooms.example/crone subject "Brew"`)
	}
	toad := logIn(t, server, "toad", "t04d")
	toad.listen()
	toad.enter(t, "toad", "")
	toad.expect(t, `presence from cave@rooms.example/toad "" available none/participant 110`)
	toad.expect(t, `message from cave@rooms.example/crone subject "Brew"`)
	known := toad.last(t)
	require.NoError(t, toad.conn.Close())
	crone.expect(t, `presence from cave@rooms.example/toad "" unavailable none/none`)

	crone.say(t, `<presence to="`+cave+`/crone"><show>away</show></presence>`)
	crone.say(t, `<message type="groupchat" to="`+cave+`"><body>Bubble</body></message>`)
	crone.expect(t, `message from cave@rooms.example/crone says "Bubble"`)

	toad = logIn(t, server, "toad", "t04d")
	toad.listen()
	toad.enter(t, "toad", known.resume())
	toad.expect(t, `message from cave@rooms.example/crone subject "Brew"`)
	assert.Equal(t, []string{
		`presence from cave@rooms.example/crone "away" available owner/moderator`,
		`presence from cave@rooms.example/toad "" available none/participant 110`,
		`message from cave@rooms.example/crone says "Bubble"`,
		`message from cave@rooms.example/crone subject "Brew"`,
	}, toad.heard(), "MF-10: and nothing of those who were there all the time")
	assert.Equal(t, known.Session.Session, toad.last(t).Session.Session)
	require.NoError(t, toad.conn.Close())
	crone.expect(t, `presence from cave@rooms.example/toad "" unavailable none/none`)
}

// restart ends the service and starts it again.
func restart(t *testing.T, server *interop.Server, crone *guest, program *roomService) {
	toad := logIn(t, server, "toad", "t04d")
	toad.listen()
	toad.enter(t, "toad", "")
	toad.expect(t, `message from cave@rooms.example/crone subject "Brew"`)
	known := toad.last(t)
	program.stop(t)
	toad.expect(t, `presence from cave@rooms.example/toad "" unavailable none/none 110 332`)
	crone.expect(t, `presence from cave@rooms.example/crone "" unavailable owner/none 110 332`)
	program.start(t)
	toad.expect(t, `presence from cave@rooms.example/toad "" unavailable none/none 110 333`)
	crone.expect(t, `presence from cave@rooms.example/crone "" unavailable owner/none 110 333`)
	toad.forget()
	toad.enter(t, "toad", known.resume())
	toad.expect(t, `message from cave@rooms.example/crone subject "Brew"`)
	assert.Equal(t, []string{
		`presence from cave@rooms.example/toad "" available none/participant 110`,
		`message from cave@rooms.example/crone subject "Brew"`,
	}, toad.heard(), "and nothing of the others, who have to come back, too")
	assert.Equal(t, known.Session.Session, toad.last(t).Session.Session, "it is the same room")
}
