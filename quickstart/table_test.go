// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/interop"
)

// tableEnv is how often each login of TestTable is made. Then the servers also have
// the machine for themselves, one after the other.
const tableEnv = "XMPPEXT_TABLE"

// TestTable compares logins at real servers that are a round trip away, with mellium
// alone, with a Dialer, and with a client that is not ours. The table in its log has
// medians, of two logins the lower one:
//
//	XMPPEXT_TABLE=7 go test -run TestTable -v ./quickstart
//
// What is asserted are flights; how long they take is up to the machine.
func TestTable(t *testing.T) {
	times := 2
	alone := os.Getenv(tableEnv) != ""
	if alone {
		var err error
		times, err = strconv.Atoi(os.Getenv(tableEnv))
		require.NoError(t, err, tableEnv)
		require.Positive(t, times, tableEnv)
	}
	var (
		mu     sync.Mutex
		tables []table
	)
	t.Run("servers", func(t *testing.T) {
		for name, start := range map[string]func(*testing.T) *interop.Server{"Prosody": startProsody, "ejabberd": startEjabberd} {
			t.Run(name, func(t *testing.T) {
				if !alone {
					t.Parallel() // They wait most of the time.
				}
				s := start(t)
				rows := newVisit(t, s).logins(times)
				assertRows(t, rows)
				mu.Lock()
				defer mu.Unlock()
				tables = append(tables, table{name + " " + s.Version, rows})
			})
		}
	})
	if len(tables) == 0 {
		t.Skip("there is no server; run: export XMPPEXT_PROSODY=$(bash .ci/peers prosody) XMPPEXT_EJABBERD=$(bash .ci/peers ejabberd)")
	}
	slices.SortFunc(tables, func(a, b table) int { return cmp.Compare(a.server, b.server) })
	t.Logf("round trips of %v, one of them for the connection; medians of %d logins\n\n%s", roundTrip, times, draw(tables))
}

// A table has what was measured with one server.
type table struct {
	server string
	rows   []row
}

// A row is one kind of login.
type row struct {
	client, kind, login string
	tallies             []tally
	how                 string // mechanism, and what else there is to say
}

func (r row) name() string { return strings.Join([]string{r.client, r.kind, r.login}, ", ") }

// median returns the median of each number by itself.
func (r row) median() tally {
	return tally{
		flights:  median(r.tallies, func(t tally) int { return t.flights }),
		sent:     median(r.tallies, func(t tally) int { return t.sent }),
		received: median(r.tallies, func(t tally) int { return t.received }),
		took:     median(r.tallies, func(t tally) time.Duration { return t.took }),
	}
}

func median[T cmp.Ordered](tallies []tally, number func(tally) T) T {
	var all []T
	for _, t := range tallies {
		all = append(all, number(t))
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// draw returns the tables as one.
func draw(tables []table) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, t := range tables {
		fmt.Fprintf(w, "%s\tTLS\tlogin\tflights\tsent\treceived\ttime\tmechanism\n", t.server)
		for _, r := range t.rows {
			m := r.median()
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d B\t%d B\t%d ms\t%s\n",
				r.client, r.kind, r.login, m.flights, m.sent, m.received, m.took.Milliseconds(), r.how)
		}
		fmt.Fprintln(w, "\t\t\t\t\t\t\t")
	}
	_ = w.Flush()
	return b.String()
}

// flights are those of all logins but for those of clients that are not ours. The ones
// with quickstart are as in TestRoundTrips.
var flights = map[string]int{
	"mellium, STARTTLS, SCRAM":             8,
	"mellium, direct TLS, SCRAM":           6,
	"quickstart, STARTTLS, first":          6,
	"quickstart, STARTTLS, later, token":   2,
	"quickstart, direct TLS, first":        4,
	"quickstart, direct TLS, later, SCRAM": 3,
	"quickstart, direct TLS, later, PLAIN": 2,
	"quickstart, direct TLS, later, token": 2,
}

// assertRows asserts what the machine has nothing to do with.
func assertRows(t *testing.T, rows []row) {
	t.Helper()
	of := make(map[string]tally)
	for _, r := range rows {
		require.NotEmpty(t, r.tallies, r.name())
		for _, is := range r.tallies {
			assert.Positive(t, is.sent, r.name())
			assert.Positive(t, is.received, r.name())
			if want, ok := flights[r.name()]; ok {
				assert.Equal(t, want, is.flights, r.name())
				assert.GreaterOrEqual(t, is.took, time.Duration(want+1)*roundTrip, "%s: with the one for the connection", r.name())
			}
		}
		of[r.name()] = r.median()
	}
	for name := range flights {
		assert.Contains(t, of, name, "it was made")
	}
	for _, kind := range []string{"direct TLS", "STARTTLS"} {
		stock, first, later := of["mellium, "+kind+", SCRAM"], of["quickstart, "+kind+", first"], of["quickstart, "+kind+", later, token"]
		assert.LessOrEqual(t, first.flights, stock.flights, "no more than mellium, even if nothing is known")
		assert.Less(t, later.flights, stock.flights)
		assert.Less(t, later.took, stock.took, "fewer flights take less time")
	}
	if js, ok := of["xmpp.js, direct TLS, later, token"]; ok {
		first := slices.IndexFunc(rows, func(r row) bool { return r.name() == "xmpp.js, direct TLS, first" })
		require.GreaterOrEqual(t, first, 0)
		assert.LessOrEqual(t, of["quickstart, direct TLS, first"].flights, rows[first].median().flights)
		assert.Less(t, of["quickstart, direct TLS, later, token"].flights, js.flights, "fewer than xmpp.js with a token")
	}
}
