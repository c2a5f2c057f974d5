// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

const (
	// manyMessages is what somebody comes to who was away for long.
	manyMessages = 10_000

	// rare says which messages are to the other of two contacts: every so manieth.
	rare = 10
)

// The archives are in SQLite, in memory. What the servers use otherwise looks at
// the whole archive for each message, or for each page. Prosody's log is short,
// because a detailed one takes it a fifth of the time.
const (
	prosodyArchive = `
storage = { archive = "sql" }
sql = { driver = "SQLite3", database = ":memory:" }
storage_archive_item_limit = 20000
max_archive_query_results = 250
log = { { to = "stdout", levels = { min = "info" }, timestamps = true } }
`
	ejabberdArchive = `
sql_type: sqlite
sql_database: ":memory:"
modules:
  mod_mam:
    db_type: sql
`
)

var interopUsers = map[string]string{"juliet": "r0m30"}

func TestProsody(t *testing.T) {
	testPeer(t, interop.Prosody(t, interop.Config{
		Users: interopUsers, Modules: []string{"mam"}, Settings: prosodyArchive,
	}))
}

func TestEjabberd(t *testing.T) {
	testPeer(t, interop.Ejabberd(t, interop.Config{Users: interopUsers, Settings: ejabberdArchive}))
}

// A peer is somebody else's server, with juliet as its client.
type peer struct {
	*mam.Client
	session *xmpp.Session
	conn    net.Conn
	often   jid.JID // contact
	rarely  jid.JID // contact
}

// visitPeer logs juliet in.
func visitPeer(ctx context.Context, t *testing.T, server *interop.Server) *peer {
	t.Helper()
	account := jid.MustParse("juliet@" + server.Domain + "/chamber")
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", server.DirectTLS)
	require.NoError(t, err)
	conn := tls.Client(tcp, &tls.Config{RootCAs: server.Roots, ServerName: server.Domain})
	p := &peer{
		Client: new(mam.Client), conn: conn,
		often:  jid.MustParse("romeo@" + server.Domain),
		rarely: jid.MustParse("nurse@" + server.Domain),
	}
	p.session, err = xmpp.NewSession(ctx, account.Domain(), account, conn, xmpp.Secure,
		xmpptest.Stock(xmpp.SASL("", interopUsers["juliet"], sasl.ScramSha1), xmpp.BindResource()))
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- p.session.Serve(mux.New(stanza.NSClient, mam.HandleClient(p.Client))) }()
	t.Cleanup(func() {
		_ = p.session.Close()
		_ = conn.Close()
		<-served
	})
	return p
}

// fill sends messages that the archive keeps. Nobody gets them.
func (p *peer) fill(ctx context.Context, t *testing.T) {
	t.Helper()
	set, err := p.SetPreferences(ctx, p.session, mam.Preferences{Default: mam.Always})
	require.NoError(t, err)
	require.Equal(t, mam.Always, set.Default)

	w := bufio.NewWriter(p.conn) // Nothing else is sent meanwhile.
	for i := range manyMessages {
		to := p.often
		if (i+1)%rare == 0 {
			to = p.rarely
		}
		_, err := fmt.Fprintf(w, `<message type="chat" to="%s" id="m%d"><body>%d</body></message>`, to, i+1, i+1)
		require.NoError(t, err)
	}
	require.NoError(t, w.Flush())

	// What comes behind is answered behind.
	_, err = p.Preferences(ctx, p.session)
	require.NoError(t, err)
}

// fetch returns the first results, or all if there are fewer.
func (p *peer) fetch(ctx context.Context, t *testing.T, q mam.Query, limit int) []mam.Result {
	t.Helper()
	var results []mam.Result
	for r, err := range p.Fetch(ctx, p.session, jid.JID{}, q) {
		require.NoError(t, err)
		if results = append(results, r); len(results) == limit {
			break
		}
	}
	return results
}

// testPeer fills an archive of somebody else's, and fetches it.
func testPeer(t *testing.T, server *interop.Server) {
	t.Logf("version %s", server.Version)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // on a busy machine
	t.Cleanup(cancel)
	p := visitPeer(ctx, t, server)
	support, err := p.Supports(ctx, p.session, jid.JID{})
	require.NoError(t, err)
	require.True(t, support.Archive)
	t.Logf("announced: %+v", support)
	start := time.Now()
	p.fill(ctx, t)
	t.Logf("%d messages sent in %v", manyMessages, time.Since(start))

	var all []mam.Result
	keep := func(r mam.Result) error { all = append(all, r); return nil }
	start = time.Now()
	place, err := p.CatchUp(ctx, p.session, jid.JID{}, mam.Query{Max: 250}, mam.Place{}, "", keep)
	require.NoError(t, err)
	t.Logf("%d messages fetched in %v", len(all), time.Since(start))
	p.checkAll(t, all)
	ids := idsOf(all)

	t.Run("nothing new is behind the last one", func(t *testing.T) {
		again, err := p.CatchUp(ctx, p.session, jid.JID{}, mam.Query{}, place, "", func(r mam.Result) error {
			return fmt.Errorf("%s came again", r.ID)
		})
		require.NoError(t, err)
		assert.Equal(t, place, again)
	})
	t.Run("what is behind a place", func(t *testing.T) {
		from := all[manyMessages-301]
		var got []string
		_, err := p.CatchUp(ctx, p.session, jid.JID{}, mam.Query{}, mam.Place{ID: from.ID, Stamp: from.Stamp}, ids[manyMessages-51], func(r mam.Result) error {
			got = append(got, r.ID)
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, ids[manyMessages-300:manyMessages-50], got)
	})
	t.Run("backwards from the last page", func(t *testing.T) {
		const size, pages = 50, 20
		got := p.fetch(ctx, t, mam.Query{Max: size, From: mam.Cursor{Last: true}}, size*pages)
		var want []string
		for page := range pages {
			end := manyMessages - page*size
			want = append(want, ids[end-size:end]...)
		}
		assert.Equal(t, want, idsOf(got))
	})
	t.Run("backwards from an item to the beginning", func(t *testing.T) {
		got := idsOf(p.fetch(ctx, t, mam.Query{Max: 50, From: mam.Cursor{Before: ids[70]}}, -1))
		assert.Equal(t, append(slices.Clone(ids[20:70]), ids[:20]...), got)
	})
	t.Run("MA-18: with one contact", func(t *testing.T) {
		var want []string
		for i := rare - 1; i < manyMessages; i += rare {
			want = append(want, ids[i])
		}
		assert.Equal(t, want, idsOf(p.fetch(ctx, t, mam.Query{With: p.rarely}, -1)))
	})
	t.Run("MA-20: between two moments", func(t *testing.T) {
		// Prosody tells and reads times in whole seconds, but compares them as they are.
		from := all[manyMessages/2].Stamp.Truncate(time.Second)
		to := from.Add(time.Second)
		var want []string
		for _, r := range all {
			if !r.Stamp.Before(from) && r.Stamp.Before(to) {
				want = append(want, r.ID)
			}
		}
		got := p.fetch(ctx, t, mam.Query{Start: from, End: to}, -1)
		for len(got) > len(want) && got[len(got)-1].Stamp.Equal(to) {
			got = got[:len(got)-1]
		}
		assert.Equal(t, want, idsOf(got))
	})
	t.Run("behind a place that was pruned", func(t *testing.T) {
		const least = 20
		stamp := all[manyMessages-least].Stamp
		// The ids of ejabberd are times, so it knows all of them.
		from := mam.Place{ID: strconv.FormatInt(stamp.UnixMicro()-1, 10), Stamp: stamp}
		var got []string
		again, err := p.CatchUp(ctx, p.session, jid.JID{}, mam.Query{}, from, "", func(r mam.Result) error {
			got = append(got, r.ID)
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, place, again)
		require.GreaterOrEqual(t, len(got), least)
		assert.Equal(t, ids[manyMessages-len(got):], got)
	})

	// Prosody forgets AfterID or BeforeID when it is to go on from a page, so these
	// are pages that are complete, or have neither.
	for _, test := range []struct {
		name string
		q    mam.Query
		want []string
	}{
		{"MA-21: between two items", mam.Query{Max: 250, AfterID: ids[99], BeforeID: ids[300]}, ids[100:300]},
		{"MA-21: between two items, with one contact", mam.Query{With: p.rarely, AfterID: ids[99], BeforeID: ids[120]}, []string{ids[109], ids[119]}},
		{"MA-22: some items", mam.Query{IDs: []string{ids[700], ids[20], ids[9999]}}, []string{ids[20], ids[700], ids[9999]}},
		{"MA-34: flipped pages", mam.Query{Flip: true, Max: 20}, append(reversed(ids[:20]), reversed(ids[20:40])...)},
		{"MA-34: the last pages, flipped", mam.Query{Flip: true, Max: 20, From: mam.Cursor{Last: true}}, append(reversed(ids[9980:]), reversed(ids[9960:9980])...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !support.Extended {
				for _, err := range p.Fetch(ctx, p.session, jid.JID{}, test.q) {
					assert.ErrorIs(t, err, mam.ErrNotAnnounced)
				}
				return
			}
			assert.Equal(t, test.want, idsOf(p.fetch(ctx, t, test.q, len(test.want))))
		})
	}
	t.Run("MA-35: the ends", func(t *testing.T) {
		first, last, err := p.Metadata(ctx, p.session, jid.JID{})
		if !support.Extended {
			assert.ErrorAs(t, err, new(stanza.Error))
			return
		}
		require.NoError(t, err)
		assert.Equal(t, mam.Place{ID: ids[0], Stamp: all[0].Stamp}, first)
		assert.Equal(t, place, last)
	})
}

// checkAll checks that an archive is what was sent, in that order.
func (p *peer) checkAll(t *testing.T, all []mam.Result) {
	t.Helper()
	require.Equal(t, manyMessages, len(all)) // Len would print all of them.
	seen := make(map[string]bool, len(all))
	for i, r := range all {
		var m struct {
			XMLName xml.Name `xml:"jabber:client message"`
			ID      string   `xml:"id,attr"`
			To      string   `xml:"to,attr"`
			Body    string   `xml:"body"`
		}
		require.NoError(t, xml.NewTokenDecoder(r.TokenReader()).Decode(&m))
		to := p.often
		if (i+1)%rare == 0 {
			to = p.rarely
		}
		n := strconv.Itoa(i + 1)
		require.Equal(t, []string{"m" + n, n, to.String()}, []string{m.ID, m.Body, m.To})
		require.NotEmpty(t, r.ID)
		require.False(t, seen[r.ID], "ids are unique")
		seen[r.ID] = true
		require.NotZero(t, r.Stamp)
		require.False(t, i > 0 && r.Stamp.Before(all[i-1].Stamp), "the server's clock does not go back")
	}
}

func idsOf(results []mam.Result) (ids []string) {
	for _, r := range results {
		ids = append(ids, r.ID)
	}
	return ids
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
