// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/quickstart"
)

// reports are what the golden files are of, by their names.
var reports = map[string]quickstart.Report{
	"later": {
		Account: juliet, Server: "[2001:db8::1]:5223", Direct: true,
		Plan: "full, SASL2, urn:xmpp:bind:0", Held: true, Attempts: 1, Resumed: true,
		Mechanism: "HT-SHA-256-EXPR", SASL2: true, Bind: bind2.Inline,
		Flights: 2, Sent: 2278, Received: 3122,
		Phases: []quickstart.Phase{
			{Name: "tcp", Start: 31 * time.Microsecond, End: 100*time.Millisecond + 40*time.Microsecond},
			{Name: "tls", Start: 100*time.Millisecond + 51*time.Microsecond, End: 201 * time.Millisecond},
			{Name: "login", Start: 201 * time.Millisecond, End: 302*time.Millisecond + 700*time.Microsecond},
		},
		Total: 302*time.Millisecond + 800*time.Microsecond,
	},
	"missed": {
		Account: juliet, Server: "192.0.2.1:5222",
		Plan: "off", Attempts: 2,
		Mechanism: "SCRAM-SHA-256", Bind: bind2.Legacy,
		Flights: 8, Sent: 3000, Received: 7000,
		Phases: []quickstart.Phase{
			{Name: "dns", Start: 0, End: 20 * time.Millisecond},
			{Name: "tcp", Start: 20 * time.Millisecond, End: 120 * time.Millisecond},
			{Name: "tls", Start: 120 * time.Millisecond, End: 240 * time.Millisecond},
			{Name: "login", Start: 240 * time.Millisecond, End: 5240 * time.Millisecond},
			{Name: "tcp", Start: 5240 * time.Millisecond, End: 5340 * time.Millisecond},
			{Name: "tls", Start: 5340 * time.Millisecond, End: 5700 * time.Millisecond},
			{Name: "login", Start: 5700 * time.Millisecond, End: 6200 * time.Millisecond},
		},
		Total: 6200 * time.Millisecond,
	},
	"hostile": {
		Account: jid.MustParse("im.example.com/<b>&\"'"), Server: `<script>"&'</script>]]>`,
		Plan: "\x01<!--", Mechanism: `"><a href="x">`,
		Phases: []quickstart.Phase{{Name: "<&>", Start: time.Second, End: 0}},
	},
	"zero": {},
}

// golden compares got with a file, which the flag -update rewrites.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		require.NoError(t, os.MkdirAll("testdata", 0o777))
		require.NoError(t, os.WriteFile(file, got, 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "%s; rewrite it with -update", file)
}

func TestReport(t *testing.T) {
	for name, r := range reports {
		t.Run(name, func(t *testing.T) {
			golden(t, "report_"+name+".txt", []byte(r.String()))
			var svg bytes.Buffer
			require.NoError(t, r.SVG(&svg))
			golden(t, "report_"+name+".svg", svg.Bytes())
			b, err := json.MarshalIndent(r, "", "\t")
			require.NoError(t, err)
			golden(t, "report_"+name+".json", append(b, '\n'))

			for line := range strings.Lines(r.String()) {
				if _, bar, ok := strings.Cut(line, " |"); ok {
					assert.Equal(t, 40, strings.LastIndex(bar, "|"), "bars are of one width: %s", line)
				}
			}
			// It is XML of its own, of nothing but shapes and texts.
			d := xml.NewDecoder(&svg)
			for {
				tok, err := d.Token()
				if err == io.EOF {
					break
				}
				require.NoError(t, err)
				if start, ok := tok.(xml.StartElement); ok {
					assert.Contains(t, []string{"svg", "title", "rect", "text"}, start.Name.Local)
					for _, a := range start.Attr {
						assert.NotContains(t, []string{"href", "onload", "style"}, a.Name.Local)
						if a.Name.Local == "width" || a.Name.Local == "height" {
							assert.NotContains(t, a.Value, "-", "nothing is of negative size")
						}
					}
				}
			}
		})
	}
	t.Run("an SVG that cannot be written", func(t *testing.T) {
		failed := errors.New("disk full")
		require.ErrorIs(t, reports["later"].SVG(failing{failed}), failed)
	})
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestBound asserts what a session says about its resource.
func TestBound(t *testing.T) {
	for kind, protocol := range map[string]bind2.Protocol{
		"SASL2 with tokens": bind2.Inline, "SASL2": bind2.Inline, "bind2:0": bind2.Early, "RFC 6120": bind2.Legacy,
	} {
		inBubble(t, kind, func(t *testing.T) {
			w := newWorld(t, kinds[kind]().serve)
			d := newDialer(w)
			d.Tag = "Balcony"
			for range 2 {
				s := mustDial(t, d)
				assert.Equal(t, protocol, s.Protocol)
				assert.Equal(t, protocol, s.Report.Bind)
				if protocol == bind2.Legacy {
					assert.Nil(t, s.Bound)
					continue
				}
				require.NotNil(t, s.Bound)
				assert.Equal(t, s.LocalAddr(), s.Bound.JID)
				assert.Equal(t, "m1", s.Bound.Last.ID)
				assert.Equal(t, protocol == bind2.Inline, strings.HasPrefix(s.LocalAddr().Resourcepart(), "Balcony"))
			}
		})
	}
	inBubble(t, "Legacy", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		d := newDialer(w)
		mustDial(t, d)
		d.Legacy = true // As if it were another Dialer over the same cache.
		for range 2 {
			s, err := d.Dial(t.Context(), jid.MustParse("juliet@im.example.com/window"), quickstart.Password(password))
			require.NoError(t, err)
			assert.Nil(t, s.Bound)
			assert.Equal(t, bind2.Legacy, s.Protocol)
			assert.Equal(t, "window", s.LocalAddr().Resourcepart())
		}
	})
}
