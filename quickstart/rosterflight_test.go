// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// TestOpeningFlights asserts how many flights it takes until the client has its roster
// and is available, in first logins and in later ones, and how long.
func TestOpeningFlights(t *testing.T) {
	for _, test := range []struct {
		kind         string
		direct       bool
		mechanism    string
		first, later int
		ahead        bool // the opening is in the flight of later logins
		pauses       int
		carbons      int // requests for copies of messages
	}{
		{"SASL2 with tokens", false, auth.ScramSHA256, 7, 3, false, 0, 0},
		{"SASL2 with tokens", true, auth.ScramSHA256, 5, 3, false, 0, 0},
		{"SASL2", false, auth.Plain, 6, 3, false, 0, 0},
		{"SASL2", true, auth.ScramSHA256, 5, 4, false, 0, 0},
		{"bind2:0", false, auth.Plain, 8, 2, true, 0, 0},
		{"bind2:0", true, auth.ScramSHA256, 7, 4, false, 0, 0},
		{"RFC 6120", false, auth.Plain, 8, 2, true, 0, 1},
		{"RFC 6120", true, auth.Plain, 6, 2, true, 0, 1},
		{"RFC 6120", false, auth.ScramSHA256, 9, 4, false, 0, 1},
		{"RFC 6120", true, auth.ScramSHA256, 7, 4, false, 0, 1},
		{"RFC 6120, nothing announced", false, auth.Plain, 8, 2, true, 2, 1},
		{"RFC 6120, nothing announced", true, auth.ScramSHA256, 7, 4, false, 1, 1},
	} {
		name := fmt.Sprintf("%s, STARTTLS, %s", test.kind, test.mechanism)
		if test.direct {
			name = strings.Replace(name, "STARTTLS", "direct TLS", 1)
		}
		inBubble(t, name, func(t *testing.T) {
			l := newLibrary(kinds[test.kind]())
			l.direct = test.direct
			w := newWorld(t, l.serve)
			d := newDialer(w)
			d.Mechanisms = []string{test.mechanism}
			d.Roster, d.Opening = true, quickstart.Available
			if test.direct {
				d.Security = quickstart.DirectTLS
			}
			login := func(flights int, ahead bool, pauses int, ver string) {
				t.Helper()
				begin := time.Now()
				s := enter(t, d, nil)
				assert.Equal(t, flights, s.Report.Flights, "flights")
				assert.Equal(t, ahead, s.Report.Opening)
				assert.Equal(t, w.last().Flights(xmpptest.Client), s.Report.Flights, "those of the network")
				assert.EqualValues(t, len(w.last().Sent(xmpptest.Client)), s.Report.Sent, "all is on the way when Dial returns")
				dialled := time.Since(begin)
				require.NoError(t, s.Roster.Wait(t.Context()))
				trips := flights + 1 // with the one for the connection
				assert.Equal(t, float64(trips), float64(time.Since(begin)-time.Duration(pauses)*pipelining.DefaultPace)/float64(roundTrip),
					"round trips until the roster is there")
				if ahead {
					assert.Less(t, time.Since(begin)-dialled, roundTrip/10, "it comes with the end of the login")
				} else {
					assert.Equal(t, roundTrip, time.Since(begin)-dialled)
				}
				assert.Equal(t, []string{"nurse@im.example.com", "romeo@im.example.com"}, names(s.Roster))
				s.leave()

				said := l.hear()
				assert.Len(t, gets(said, "urn:xmpp:carbons:2"), test.carbons)
				asked := gets(said, "jabber:iq:roster")
				require.Len(t, asked, 1)
				assert.Equal(t, map[string]string{"xmlns": "jabber:iq:roster", "ver": ver}, asked[0].Attr, "RV-02")
				last := said[len(said)-1]
				assert.Equal(t, "presence", last.Name, "the roster is asked for first")
				assert.Equal(t, said[0].At, last.At, "in one write")
			}
			login(test.first, false, 0, "")
			for range 2 {
				login(test.later, test.ahead, test.pauses, "2")
			}
		})
	}
}
