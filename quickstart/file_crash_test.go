// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
)

// The test binary is started again as a program that writes into a cache: its
// directory, the first number, and how many values, or 0 for as many as it can.
const writerVariable = "XMPPEXT_QUICKSTART_TEST_WRITER"

func init() {
	args := strings.Split(os.Getenv(writerVariable), "\n")
	if len(args) != 3 {
		return
	}
	first, _ := strconv.ParseUint(args[1], 10, 64)
	count, _ := strconv.ParseUint(args[2], 10, 64)
	if err := writeNumbered(args[0], first, count); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// writtenKeys is how many values the program has. It puts them in turn.
const writtenKeys = 4

func numberedKey(n uint64) quickstart.Key { return cacheKey(fmt.Sprint(n % writtenKeys)) }

// numbered returns a value with its number all over it. Its length depends on it.
func numbered(n uint64) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, n), 10+int(n*977%8000))
}

// numberIn returns the number of a value, and whether it is one.
func numberIn(value []byte) (uint64, bool) {
	if len(value) < 8 {
		return 0, false
	}
	n := binary.BigEndian.Uint64(value)
	return n, bytes.Equal(value, numbered(n))
}

// writeNumbered is the program. It prints the number of each value that it has put.
func writeNumbered(dir string, first, count uint64) error {
	c, err := quickstart.OpenFileCache(dir)
	if err != nil {
		return err
	}
	for n := first; count == 0 || n < first+count; n++ {
		if err := c.Put(context.Background(), numberedKey(n), numbered(n)); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
	return nil
}

// writer returns the program, and what it prints.
func writer(t *testing.T, dir string, first, count uint64) (*exec.Cmd, *bufio.Scanner, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\n%d\n%d", writerVariable, dir, first, count))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	said := new(bytes.Buffer)
	cmd.Stderr = said
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out), said
}

// TestFileCacheKilled kills a program that writes, again and again.
func TestFileCacheKilled(t *testing.T) {
	c := newFiles(t)
	const kills = 12
	var (
		done  [writtenKeys]uint64 // the last number that is known to have been put
		first uint64              = 1
	)
	for kill := range uint64(kills) {
		cmd, lines, said := writer(t, c.Dir, first, 0)
		for last := first + 3*kill; lines.Scan(); {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			require.NoError(t, err)
			done[n%writtenKeys], first = n, n+1
			if n == last {
				require.NoError(t, cmd.Process.Kill())
				last = 0 // What it has printed until then is read, too.
			}
		}
		require.Error(t, cmd.Wait())
		require.Empty(t, said.String())

		next := first
		for i, last := range done {
			value, err := c.Get(t.Context(), numberedKey(uint64(i)))
			require.NoError(t, err)
			if last == 0 && value == nil {
				continue // It was never put.
			}
			n, ok := numberIn(value)
			require.True(t, ok, "a value of %d bytes is no old and no new one", len(value))
			require.GreaterOrEqual(t, n, last, "it was put before")
			require.LessOrEqual(t, n, next, "it was the one being put, at most")
			first = max(first, n+1)
		}
		require.LessOrEqual(t, len(filesOf(t, c)), writtenKeys+int(kill)+1, "each may leave one file behind")
	}

	// What they left is gone once it is certain that they are.
	when := time.Now().Add(-2 * time.Minute)
	for _, file := range filesOf(t, c) {
		require.NoError(t, os.Chtimes(file, when, when))
	}
	require.NoError(t, c.Put(t.Context(), numberedKey(first), numbered(first)))
	assert.Len(t, filesOf(t, c), writtenKeys)
}

// TestFileCacheProcesses has several programs write at once.
func TestFileCacheProcesses(t *testing.T) {
	const (
		programs = 3
		count    = 60
	)
	c := newFiles(t)
	var (
		all  sync.WaitGroup
		ends = make(chan error, programs)
	)
	for i := range uint64(programs) {
		cmd, lines, said := writer(t, c.Dir, 1000*(i+1), count)
		all.Go(func() {
			for lines.Scan() {
			}
			err := cmd.Wait()
			if text, _ := io.ReadAll(said); len(text) > 0 {
				err = fmt.Errorf("%w: %s", err, text)
			}
			ends <- err
		})
	}
	go func() {
		all.Wait()
		close(ends)
	}()
	var seen [writtenKeys]bool
	for running := true; running; {
		select {
		case err, more := <-ends:
			require.NoError(t, err)
			running = more
		default:
		}
		for i := range seen {
			value, err := c.Get(t.Context(), numberedKey(uint64(i)))
			require.NoError(t, err)
			if seen[i] || value != nil {
				_, ok := numberIn(value)
				require.True(t, ok, "a value of %d bytes is nobody's", len(value))
				seen[i] = true
			}
		}
	}
	for i := range seen {
		value, err := c.Get(t.Context(), numberedKey(uint64(i)))
		require.NoError(t, err)
		n, ok := numberIn(value)
		require.True(t, ok)
		assert.GreaterOrEqual(t, n%1000, uint64(count-writtenKeys), "it is the last one of a program")
	}
	assert.Len(t, filesOf(t, c), writtenKeys, "nothing is left behind")
}
