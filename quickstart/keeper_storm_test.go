// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

// TestStorm restarts the server of many clients. With XMPPEXT_STORM it is that many:
//
//	XMPPEXT_STORM=10000 go test -run TestStorm -v -timeout 20m ./quickstart
func TestStorm(t *testing.T) {
	clients := 150
	if n := os.Getenv("XMPPEXT_STORM"); n != "" {
		var err error
		clients, err = strconv.Atoi(n)
		require.NoError(t, err)
	}
	for _, test := range []struct {
		name string
		down time.Duration
	}{{"ten seconds", 10 * time.Second}, {"half an hour", 30 * time.Minute}} {
		inBubble(t, "the server is away for "+test.name, func(t *testing.T) { storm(t, clients, test.down) })
	}
}

func storm(t *testing.T, clients int, down time.Duration) {
	h := newHouse()
	w := newWorld(t, h.serve)
	var all []*kept
	for range clients {
		d := newDialer(w)
		d.Mechanisms, d.NoTokens = []string{auth.Plain}, true // which costs little to compute
		d.TLS = &tls.Config{RootCAs: pki().pool}
		all = append(all, keep(t, d, nil))
	}
	time.Sleep(time.Hour)
	for _, k := range all {
		require.Len(t, k.sessions(), 1)
	}

	before := len(w.tries())
	restart := time.Since(bubbleBegin)
	w.remove(homeAddress)
	w.cut()
	time.Sleep(down)
	w.put(homeAddress, h.serve)
	time.Sleep(2 * quickstart.DefaultMaxWait)

	var last time.Duration
	for _, k := range all {
		begun := k.sessions()
		if assert.Len(t, begun, 2, "all come back, and stay") {
			last = max(last, begun[1]-restart)
		}
	}
	perSecond := make(map[int]int)
	tries := w.tries()[before:]
	for _, try := range tries {
		perSecond[int((try.At-restart)/time.Second)]++
	}
	var most int
	for _, n := range perSecond {
		most = max(most, n)
	}
	// If all come back within the first wait, that is the share of a second. With those
	// that have to try again it is up to twice as many, and what is random comes on
	// top, above all with few clients.
	share := clients / int(quickstart.DefaultMinWait/time.Second)
	assert.LessOrEqual(t, most, 3*share+20, "there are no waves")
	t.Logf("%d clients, server away for %v: %d connections, at most %d in a second where an even spread has %d; all back after %v",
		clients, down, len(tries), most, share, last.Round(time.Second))
	t.Log("connections by time since the restart:\n" + histogram(perSecond, int(last/time.Second)/20+1))
}

// histogram draws how many tries there were in each of some seconds.
func histogram(perSecond map[int]int, step int) string {
	steps := make(map[int]int)
	var end, most int
	for s, n := range perSecond {
		steps[s/step] += n
		end, most = max(end, s/step), max(most, steps[s/step])
	}
	var b strings.Builder
	for i := range end + 1 {
		fmt.Fprintf(&b, "%5d s %6d %s\n", i*step, steps[i], strings.Repeat("#", (50*steps[i]+most-1)/most))
	}
	return b.String()
}
