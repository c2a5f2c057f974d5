// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

func parse(t *testing.T, lines ...string) xmpptest.Transcript {
	t.Helper()
	tr, err := xmpptest.ParseTranscript(strings.Join(lines, "\n"))
	require.NoError(t, err)
	return tr
}

func TestParseTranscript(t *testing.T) {
	got := parse(t,
		"# comment",
		"",
		"C: <a",
		"C:  b='c'/>",
		"# inside a flight",
		`C: one\ntwo\r\t\\\x00\xFF\x20`,
		"S: <ok/>",
		"-- TLS 1.3 --",
		"C: <b/>",
	)
	want := xmpptest.Transcript{
		{Kind: xmpptest.Comment, Text: "# comment"},
		{Kind: xmpptest.Comment},
		{Side: xmpptest.Client, Text: "<a"},
		{Side: xmpptest.Client, Text: " b='c'/>"},
		{Kind: xmpptest.Comment, Text: "# inside a flight"},
		{Side: xmpptest.Client, Text: "one\ntwo\r\t\\\x00\xff "},
		{Side: xmpptest.Server, Text: "<ok/>"},
		{Kind: xmpptest.Stage, Text: "TLS 1.3"},
		{Side: xmpptest.Client, Text: "<b/>"},
	}
	assert.Equal(t, want, got)
	assert.Equal(t, xmpptest.Transcript{
		{Side: xmpptest.Client, Text: "<a b='c'/>one\ntwo\r\t\\\x00\xff "},
		{Side: xmpptest.Server, Text: "<ok/>"},
		{Kind: xmpptest.Stage, Text: "TLS 1.3"},
		{Side: xmpptest.Client, Text: "<b/>"},
	}, got.Flights())
}

func TestTranscriptRoundTrips(t *testing.T) {
	text := strings.Join([]string{
		"# comment", "", "C: <a id='${id}'/>", `C: \n\xff\\ \x20`, "S:  é", "-- TLS --", "C: x", "",
	}, "\n")
	tr, err := xmpptest.ParseTranscript(text)
	require.NoError(t, err)
	assert.Equal(t, text, tr.String())

	crlf, err := xmpptest.ParseTranscript(strings.ReplaceAll(text, "\n", "\r\n"))
	require.NoError(t, err)
	assert.Equal(t, tr, crlf, "line ends do not matter")

	empty, err := xmpptest.ParseTranscript("")
	require.NoError(t, err)
	assert.Empty(t, empty)
}

func TestParseTranscriptErrors(t *testing.T) {
	for text, want := range map[string]string{
		"hello":                           "line 1: neither",
		"C: a\nX: b":                      "line 2: neither",
		"C:a":                             "line 1: neither",
		" C: a":                           "line 1: neither",
		"C: ":                             "line 1: a line without bytes",
		"--  --":                          "line 1: neither",
		"-- --":                           "line 1: neither",
		`C: a\`:                           `line 1: \ at the end`,
		`C: \q`:                           `line 1: unknown escape \q`,
		`C: \x4`:                          `line 1: \x without`,
		`C: \xzz`:                         `line 1: \x without`,
		"C: a\nS: ${":                     "flight 2: placeholder without }",
		"C: ${}":                          "flight 1: invalid placeholder ${}",
		"C: ${a b}x":                      "flight 1: invalid placeholder ${a b}",
		"C: <a>${a}":                      "flight 1: nothing behind placeholder ${a}",
		"C: ${a}${b}x":                    "flight 1: nothing between placeholders ${a} and ${b}",
		"C: ${a}\n# joined\nC: ${b}x":     "flight 1: nothing between",
		"C: " + strings.Repeat(`\`, 9999): "line 1:",
	} {
		_, err := xmpptest.ParseTranscript(text)
		assert.ErrorContains(t, err, want, "%.40q", text)
	}
}

func TestReadTranscript(t *testing.T) {
	dir := t.TempDir()
	_, err := xmpptest.ReadTranscript(filepath.Join(dir, "none.txt"))
	assert.ErrorIs(t, err, os.ErrNotExist)

	file := filepath.Join(dir, "bad.txt")
	require.NoError(t, os.WriteFile(file, []byte("bad"), 0o666))
	_, err = xmpptest.ReadTranscript(file)
	assert.ErrorContains(t, err, "bad.txt: line 1: ")
}

func TestMatch(t *testing.T) {
	want := parse(t,
		"C: <iq id='${id}'/>",
		"S: <iq id='${id}'><jid>juliet@example.net/${resource}</jid></iq>",
		"-- TLS --",
		"C: <a b='${_}' c='${_}'/>",
	)
	good := []string{
		"C: <iq ",
		"C: id='x-1'/>",
		"S: <iq id='x-1'><jid>juliet@example.net/b/alcony</jid></iq>",
		"-- TLS --",
		"C: <a b='1' c='2'/>",
	}
	assert.NoError(t, want.Match(parse(t, good...)))

	for name, tc := range map[string]struct {
		line int
		text string // empty: no line
		err  string
	}{
		"other bytes":             {1, "C: id='x-1'>", "flight 1 (C): differs at byte 12"},
		"bytes behind":            {1, "C: id='x-1'/>x", "flight 1 (C): differs at byte 14"},
		"bytes missing":           {1, "C: id='x-1'", "flight 1 (C): differs at byte 12"},
		"other value":             {2, "S: <iq id='x-2'><jid>juliet@example.net/b</jid></iq>", "flight 2 (S): differs at byte 10"},
		"empty value":             {2, "S: <iq id='x-1'><jid>juliet@example.net/</jid></iq>", "flight 2 (S): differs at byte 37"},
		"value with a tag":        {2, "S: <iq id='x-1'><jid>juliet@example.net/<a/></jid></iq>", "flight 2 (S): differs"},
		"value with a quote":      {1, `C: id='x"1'/>`, "flight 1 (C): differs at byte 9"},
		"other side":              {2, "C: <iq/>", "flight 1 (C): differs"},
		"other stage":             {3, "-- compression --", "flight 3 (TLS): want -- TLS --, got -- compression --"},
		"stage instead of bytes":  {4, "-- TLS --", "flight 4 (C): want C: <a"},
		"flight missing":          {4, "", "missing flight 4: C: <a"},
		"unexpected flight":       {4, "C: <a b='1' c='2'/>\nS: <ok/>", "unexpected flight 5: S: <ok/>"},
		"placeholder in the data": {1, "C: id='${id}'/>", "flight 1 (C): placeholder ${id} has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			for i, line := range good {
				if i == tc.line {
					line = tc.text
				}
				if line != "" {
					lines = append(lines, line)
				}
			}
			assert.ErrorContains(t, want.Match(parse(t, lines...)), tc.err)
		})
	}
}

func TestLiteral(t *testing.T) {
	const odd = `$ ${a} ${$} $${ }`
	want := xmpptest.Transcript{{Text: xmpptest.Literal(odd)}}
	assert.NoError(t, want.Match(want))

	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	write(t, l.A, odd+"$")
	write(t, l.A, "{")
	assert.Equal(t, xmpptest.Transcript{{Text: xmpptest.Literal(odd + "${")}}, l.Transcript().Flights())
	assert.NoError(t, l.Transcript().Match(l.Transcript()))
}

func TestSplitElements(t *testing.T) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	write(t, l.A, `<?xml version="1.0"?><stream:stream to='a>b'><auth>x</auth><str`)
	write(t, l.A, "eam:stream>\n<iq><bind><a/></bind></iq><b/> <c>")
	write(t, l.B, `<stream:stream><stream:features><a/></stream:features></stream:stream>`)
	write(t, l.A, `not <<< XML`)
	assert.Equal(t, strings.Join([]string{
		`C: <?xml version="1.0"?>`,
		`C: <stream:stream to='a>b'>`,
		`C: <auth>x</auth>`,
		`C: <stream:stream>`,
		`C: \n<iq><bind><a/></bind></iq>`,
		`C: <b/>`,
		`C:  <c>`,
		`S: <stream:stream>`,
		`S: <stream:features><a/></stream:features>`,
		`S: </stream:stream>`,
		`C: not <<< XML`,
		``,
	}, "\n"), l.Transcript().String())

	tr := parse(t, "# gone", "C: <a/><b/>", "-- TLS --", "S: <c/>")
	assert.Equal(t, parse(t, "C: <a/>", "C: <b/>", "-- TLS --", "S: <c/>"), tr.SplitElements())
}

func FuzzParseTranscript(f *testing.F) {
	f.Add("# c\nC: <a id='${id}'/>\nS: \\x20\\n\n-- TLS --\nC: ${$}{")
	f.Add("C: ${a}\nC: x\r\nS: \\\\")
	f.Fuzz(func(t *testing.T, text string) {
		tr, err := xmpptest.ParseTranscript(text)
		if err != nil {
			return
		}
		again, err := xmpptest.ParseTranscript(tr.String())
		require.NoError(t, err)
		assert.Equal(t, tr.String(), again.String())
		assert.Equal(t, tr.Flights(), again.Flights())
		_ = tr.Match(tr)
		_ = tr.SplitElements()
	})
}

func FuzzLiteral(f *testing.F) {
	f.Add("<a>${x}$</a>", "\x80\n $")
	f.Fuzz(func(t *testing.T, a, b string) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		write(t, l.A, a)
		write(t, l.B, b)
		tr := l.Transcript()
		again, err := xmpptest.ParseTranscript(tr.String())
		require.NoError(t, err)
		assert.Equal(t, tr, again)
		assert.NoError(t, again.Match(tr), "bytes match themselves")
	})
}
