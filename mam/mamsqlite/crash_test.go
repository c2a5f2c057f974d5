// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
)

// childEnv makes the test binary append to the archive that it names, until
// it is killed, or as often as childCount says.
const (
	childEnv   = "MAMSQLITE_TEST_CHILD"
	childCount = "MAMSQLITE_TEST_COUNT"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := child(path, os.Getenv(childCount)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child appends messages by several goroutines, and prints the position and the id
// of each that was stored. All of the goroutines append as often as count says.
func child(path, count string) error {
	n := -1
	if count != "" {
		if _, err := fmt.Sscan(count, &n); err != nil {
			return err
		}
	}
	ctx := context.Background()
	a, err := mamsqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	failed := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			for k := 0; k != n; k++ {
				i, err := a.Append(ctx, romeo, message(k))
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d %s\n", i.Position, i.ID)
			}
		})
	}
	wg.Wait()
	close(failed)
	if err := <-failed; err != nil {
		return err
	}
	return a.Close()
}

func command(t *testing.T, path, count string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+path, childCount+"="+count)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestCrash kills a process that appends, and checks that what it was told is
// stored, is.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive.db")
	told := map[int64]string{}
	for range 3 {
		cmd := command(t, path, "")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 100+len(told)/7 {
				// What it has printed by then is read to the end.
				require.NoError(t, cmd.Process.Kill())
			}
			var position int64
			var id string
			if _, err := fmt.Sscan(lines.Text(), &position, &id); assert.NoError(t, err, lines.Text()) {
				assert.Empty(t, told[position], "position %d twice", position)
				told[position] = id
			}
		}
		assert.Error(t, cmd.Wait(), "it was killed")
		require.Greater(t, len(told), 100)
		checkFile(t, path, told)
	}
}

// checkFile checks that a file is intact, has no gap, and all that it should.
func checkFile(t *testing.T, path string, told map[int64]string) {
	t.Helper()
	a := open(t, path)
	items, page := get(t, a, romeo, mam.Query{Max: 1 << 20})
	require.True(t, page.Complete)
	for n, i := range items {
		require.EqualValues(t, n+1, i.Position, "positions have no gap")
		if id := told[i.Position]; id != "" {
			require.Equal(t, id, i.ID, "the message at %d", i.Position)
		}
	}
	for position := range told {
		require.LessOrEqual(t, position, int64(len(items)), "a message is lost")
	}
	require.NoError(t, a.Close())

	var state string
	require.NoError(t, raw(t, path).QueryRow("PRAGMA integrity_check").Scan(&state))
	require.Equal(t, "ok", state)
}

// TestProcesses has two processes append to one file.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive.db")
	const each = 25
	var outputs [2][]byte
	var wg sync.WaitGroup
	for n := range outputs {
		cmd := command(t, path, fmt.Sprint(each))
		wg.Go(func() {
			var err error
			outputs[n], err = cmd.Output()
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	told := map[int64]string{}
	for _, out := range outputs {
		for len(out) > 0 {
			var position int64
			var id string
			var line string
			for n, b := range out {
				if b == '\n' {
					line, out = string(out[:n]), out[n+1:]
					break
				}
			}
			_, err := fmt.Sscan(line, &position, &id)
			require.NoError(t, err, line)
			told[position] = id
		}
	}
	assert.Len(t, told, 2*8*each)
	checkFile(t, path, told)
}

// TestWriterInTurn checks that a writer waits for another process.
func TestWriterInTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive.db")
	a := open(t, path)
	db := raw(t, path)
	execute(t, db, "BEGIN IMMEDIATE")
	done := make(chan error, 1)
	go func() {
		_, err := a.Append(context.Background(), romeo, message(1))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatal("it did not wait", err)
	case <-time.After(50 * time.Millisecond):
	}
	execute(t, db, "COMMIT")
	require.NoError(t, <-done)
}
