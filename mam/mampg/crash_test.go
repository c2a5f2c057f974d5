// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mampg"
)

// childEnv makes the test binary append to the archive whose connection string it is,
// and schemaEnv its schema.
const (
	childEnv  = "MAMPG_TEST_CHILD"
	schemaEnv = "MAMPG_TEST_SCHEMA"
)

const writers = 8

// child appends messages by several goroutines, and prints the position and the id
// of each that was stored, until its input ends.
func child() error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv(childEnv))
	if err != nil {
		return err
	}
	defer pool.Close()
	a, err := mampg.New(ctx, pool, mampg.Schema(os.Getenv(schemaEnv)))
	if err != nil {
		return err
	}
	var (
		stop atomic.Bool
		wg   sync.WaitGroup
		end  = make(chan error, 1+writers)
	)
	for range writers {
		wg.Go(func() {
			for k := 0; !stop.Load(); k++ {
				i, err := a.Append(ctx, romeo, message(k))
				if err != nil {
					end <- err
					return
				}
				fmt.Printf("%d %s\n", i.Position, i.ID)
			}
		})
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		end <- err
	}()
	err = <-end
	stop.Store(true)
	wg.Wait()
	return err
}

// A told is what was said to be stored, ids by position.
type told struct {
	mu  sync.Mutex
	ids map[int64]string
}

func (d *told) add(t *testing.T, position int64, id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	assert.Empty(t, d.ids[position], "position %d twice", position)
	d.ids[position] = id
	return len(d.ids)
}

// check checks that an archive has no gap, and all that it should.
func (d *told) check(t *testing.T, a mam.Archive) {
	t.Helper()
	items, page := get(t, a, romeo, mam.Query{Max: 1 << 20})
	require.True(t, page.Complete)
	for n, i := range items {
		require.EqualValues(t, n+1, i.Position, "positions have no gap")
		if id := d.ids[i.Position]; id != "" {
			require.Equal(t, id, i.ID, "the message at %d", i.Position)
		}
	}
	for position := range d.ids {
		require.LessOrEqual(t, position, int64(len(items)), "a message is lost")
	}
}

// A process is a child, and what it says.
type process struct {
	cmd   *exec.Cmd
	input io.Closer
	ended chan struct{} // closed at the end of its output
	some  chan struct{} // takes something when the child has said something
}

func startChild(t *testing.T, s *server, schema string, all *told) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{cmd: exec.Command(self), ended: make(chan struct{}), some: make(chan struct{}, 1<<20)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+s.dsn(), schemaEnv+"="+schema)
	p.cmd.Stderr = os.Stderr
	p.input, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			<-p.ended
			_ = p.cmd.Wait()
		}
	})
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var position int64
			var id string
			if _, err := fmt.Sscan(lines.Text(), &position, &id); assert.NoError(t, err, lines.Text()) {
				all.add(t, position, id)
				p.some <- struct{}{}
			}
		}
	}()
	return p
}

// wait waits until a child has said something a number of times.
func (p *process) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-p.some:
		case <-p.ended:
			t.Fatal("the process has ended")
		}
	}
}

// TestProcesses has two processes append to one archive while somebody reads it, and
// kills one of them.
func TestProcesses(t *testing.T) {
	s, schema := commonServer(t), newSchema()
	a := open(t, s.newPool(t), schema)
	all := &told{ids: map[int64]string{}}
	one, two := startChild(t, s, schema, all), startChild(t, s, schema, all)

	var reading sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(reading.Wait)
	t.Cleanup(stop)
	reading.Go(func() {
		q, next := mam.Query{Max: 50}, int64(1)
		for {
			_, err := a.Query(ctx, romeo, q, func(i mam.Item) error {
				assert.Equal(t, next, i.Position, "who reads a position can read all below it")
				next, q.From.After = i.Position+1, i.ID
				return nil
			})
			if ctx.Err() != nil || !assert.NoError(t, err) || t.Failed() {
				return
			}
		}
	})
	one.wait(t, 200)
	two.wait(t, 200)
	require.NoError(t, one.cmd.Process.Kill())
	<-one.ended
	assert.Error(t, one.cmd.Wait(), "it was killed")
	two.wait(t, 200) // whatever had been said before, it goes on
	require.NoError(t, two.input.Close())
	<-two.ended
	assert.NoError(t, two.cmd.Wait())
	stop()
	reading.Wait()
	all.check(t, a)
}

// An attempt is what became of one message.
type attempt struct {
	item mam.Item
	err  error
}

// A writing is many who append, each message once, whatever becomes of it.
type writing struct {
	wg    sync.WaitGroup
	stop  atomic.Bool
	mu    sync.Mutex
	tried map[string]attempt // by stanza id
	good  chan struct{}
}

func startWriting(a mam.Archive) *writing {
	w := &writing{tried: map[string]attempt{}, good: make(chan struct{}, 1<<20)}
	for n := range writers {
		w.wg.Go(func() {
			for k := 0; !w.stop.Load(); k++ {
				m := message(k)
				m.StanzaID = strconv.Itoa(n) + "-" + strconv.Itoa(k)
				i, err := a.Append(context.Background(), romeo, m)
				w.mu.Lock()
				w.tried[m.StanzaID] = attempt{i, err}
				w.mu.Unlock()
				if err == nil {
					w.good <- struct{}{}
				}
			}
		})
	}
	return w
}

// wait waits until a number of messages were stored.
func (w *writing) wait(n int) {
	for range n {
		<-w.good
	}
}

// check ends it, and checks that each message is there or not, as was said.
func (w *writing) check(t *testing.T, a mam.Archive) {
	t.Helper()
	w.stop.Store(true)
	w.wg.Wait()
	items, page := get(t, a, romeo, mam.Query{Max: 1 << 20})
	require.True(t, page.Complete)
	stored := map[string]mam.Item{}
	for n, i := range items {
		require.EqualValues(t, n+1, i.Position, "positions have no gap")
		require.Empty(t, stored[i.StanzaID].ID, "a message is stored twice")
		stored[i.StanzaID] = i
	}
	good, bad, uncertain := 0, 0, 0
	for id, tried := range w.tried {
		switch i := stored[id]; {
		case tried.err == nil:
			good++
			require.Equal(t, tried.item.ID, i.ID, "a message is stored as was said")
			require.Equal(t, tried.item.Position, i.Position)
		case errors.Is(tried.err, mampg.ErrUncertain):
			uncertain++
		default:
			bad++
			require.Empty(t, i.ID, "a message that failed is not stored: %v", tried.err)
		}
	}
	t.Logf("%d stored, %d not, %d uncertain", good, bad, uncertain)
}

// TestServerCrash kills the server while messages are appended.
func TestServerCrash(t *testing.T) {
	s := ownServer(t)
	a := open(t, s.newPool(t), newSchema())
	w := startWriting(a)
	for range 2 {
		w.wait(100)
		require.NoError(t, s.stop(os.Kill))
		require.NoError(t, s.start())
	}
	w.wait(100)
	w.check(t, a)
}

// TestBrokenConnections ends connections while messages are appended and read.
func TestBrokenConnections(t *testing.T) {
	ctx := context.Background()
	s, schema := commonServer(t), newSchema()
	a := open(t, s.newPool(t, func(cfg *pgxpool.Config) { cfg.ConnConfig.RuntimeParams["application_name"] = schema }), schema)
	admin := s.newPool(t)
	w := startWriting(a)
	var reading sync.WaitGroup
	reading.Go(func() {
		for !w.stop.Load() {
			next := int64(0)
			_, err := a.Query(ctx, romeo, mam.Query{Max: 1000}, func(i mam.Item) error {
				assert.Equal(t, next+1, i.Position)
				next++
				return nil
			})
			if err != nil {
				assert.NotErrorIs(t, err, mam.ErrNotFound)
			}
		}
	})
	for range 20 {
		w.wait(25)
		_, err := admin.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", schema)
		require.NoError(t, err)
	}
	w.wait(25)
	w.check(t, a)
	reading.Wait()
	for _, tried := range w.tried {
		assert.NoError(t, tried.err, "the pool has other connections")
	}
}
