// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrsqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrsqlite"
)

// childEnv makes the test binary save to the file that it names, until it is killed.
const childEnv = "MUCFRSQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// crashed are the entries of a Save of which a part would be seen. They take several
// statements, and are more than one page.
const crashed = 200

var heath = jid.MustParse("heath@chat.example")

// child lets two rooms save: one of which all entries are of the same round, which is
// written and deleted in turn, and one in which somebody talks. It prints each round
// after it was saved.
func child(path string) error {
	ctx := context.Background()
	s, err := mucfrsqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	loaded, err := s.Load(ctx, heath)
	if err != nil {
		return err
	}
	first := 0
	if len(loaded) > 0 {
		if first, err = roundOf(loaded); err != nil {
			return err
		}
	}
	room, err := mucfr.OpenRoom(ctx, coven, mucfr.Options{}, s)
	if err != nil {
		return err
	}
	if _, err := room.Join(mucfr.Join{JID: jid.MustParse("hag@example.net/cave"), Nick: "hag", Role: muc.RoleParticipant}); err != nil {
		return err
	}
	for round := first + 1; ; round++ {
		all := entries(crashed, round)
		all[round%crashed].Value = nil
		if err := s.Save(ctx, heath, all); err != nil {
			return err
		}
		if _, err := room.Rename(jid.MustParse("hag@example.net/cave"), fmt.Sprint("hag ", round)); err != nil {
			return err
		}
		if err := room.Save()(ctx); err != nil {
			return err
		}
		fmt.Println(round)
	}
}

// roundOf returns the round that all entries are of.
func roundOf(all []mucfr.Entry) (round int, err error) {
	for i, e := range all {
		var is int
		if _, err := fmt.Sscan(string(e.Value), &is); err != nil {
			return 0, err
		}
		if i > 0 && is != round {
			return 0, fmt.Errorf("there are entries of rounds %d and %d", round, is)
		}
		round = is
	}
	if len(all) != crashed-1 {
		return 0, fmt.Errorf("there are %d entries", len(all))
	}
	return round, nil
}

// TestCrash kills a process that saves, and checks that what it was told is saved, is,
// and each Save as a whole.
func TestCrash(t *testing.T) {
	ctx := context.Background()
	path, told := newFile(t), 0
	self, err := os.Executable()
	require.NoError(t, err)
	session := ""
	for n := range 6 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines, was := bufio.NewScanner(out), told
		for killed := false; lines.Scan(); {
			_, err := fmt.Sscan(lines.Text(), &told)
			require.NoError(t, err)
			if !killed && told >= was+10+n {
				killed = true // What it has printed by then is read to the end.
				require.NoError(t, cmd.Process.Kill())
			}
		}
		assert.Error(t, cmd.Wait(), "it was killed")
		require.GreaterOrEqual(t, told, was+10+n)

		s := open(t, path)
		loaded, err := s.Load(ctx, heath)
		require.NoError(t, err)
		round, err := roundOf(loaded)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, round, told, "what was saved is there")
		assert.LessOrEqual(t, round, told+1)

		room, err := mucfr.OpenRoom(ctx, coven, mucfr.Options{}, s)
		require.NoError(t, err)
		hag, ok := room.Client(jid.MustParse("hag@example.net/cave"))
		require.True(t, ok)
		assert.Contains(t, []string{fmt.Sprint("hag ", told), fmt.Sprint("hag ", told+1)}, hag.Nick)
		assert.Equal(t, 1, room.Len())
		if n > 0 {
			assert.Equal(t, session, room.Session())
		}
		session = room.Session()
		_, err = room.Leave(jid.MustParse("hag@example.net/cave"), mucfr.Payload{})
		require.NoError(t, err)
		require.NoError(t, room.Close(ctx))
		require.NoError(t, s.Close())

		var state string
		require.NoError(t, raw(t, path).QueryRow("PRAGMA integrity_check").Scan(&state))
		require.Equal(t, "ok", state)
	}
}
