// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

func TestStockTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := xmpptest.NewPair(t, xmpptest.PairConfig{Link: rtt})
		xmpptest.Compare(t, filepath.Join("testdata", "stock.txt"), p.Link.Transcript())
	})
}

// golden writes a golden file.
func golden(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "golden.txt")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o666))
	return file
}

func content(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(b)
}

func TestCompareFile(t *testing.T) {
	old := []string{
		"# Login,",
		"# shortened.",
		"",
		"C: <iq",
		"C:  id='${id}'/>",
		"# gone after an update",
		"S: <iq id='${id}'/>",
	}
	same := parse(t, "C: <iq id='7'/>", "S: <iq id='7'/>")
	other := parse(t, "C: <iq id='7'/>", "S: <error/>", "C: <bye/>")

	t.Run("same", func(t *testing.T) {
		file := golden(t, old...)
		before := content(t, file)
		assert.NoError(t, xmpptest.CompareFile(file, same, false))
		assert.NoError(t, xmpptest.CompareFile(file, same, true))
		assert.Equal(t, before, content(t, file), "a file that matches is left alone")
	})
	t.Run("different", func(t *testing.T) {
		file := golden(t, old...)
		before := content(t, file)
		err := xmpptest.CompareFile(file, other, false)
		assert.ErrorContains(t, err, "golden.txt: flight 2 (S): differs at byte 1\n")
		assert.Equal(t, before, content(t, file))

		require.NoError(t, xmpptest.CompareFile(file, other, true))
		assert.Equal(t, strings.Join([]string{
			"# Login,", "# shortened.", "", "C: <iq", "C:  id='${id}'/>", "S: <error/>", "C: <bye/>", "",
		}, "\n"), content(t, file), "comments at the start and flights that match survive")
		assert.NoError(t, xmpptest.CompareFile(file, other, false))
	})
	t.Run("no file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "testdata", "new.txt")
		assert.ErrorIs(t, xmpptest.CompareFile(file, same, false), os.ErrNotExist)
		require.NoError(t, xmpptest.CompareFile(file, same, true))
		assert.Equal(t, same.String(), content(t, file))
	})
	t.Run("bad file", func(t *testing.T) {
		file := golden(t, "bad")
		assert.ErrorContains(t, xmpptest.CompareFile(file, same, false), "golden.txt: line 1: ")
		require.NoError(t, xmpptest.CompareFile(file, same, true))
		assert.Equal(t, same.String(), content(t, file))
	})
}

// fakeT records failures.
type fakeT struct {
	testing.TB
	failed string
}

func (t *fakeT) Helper() {}

func (t *fakeT) Errorf(format string, args ...any) {
	t.failed += fmt.Sprintf(format, args...)
}

func TestCompareFails(t *testing.T) {
	if update := flag.Lookup("update").Value.String(); update != "false" {
		t.Skip("-update is set")
	}
	file := golden(t, "C: <a/>")
	var fake fakeT
	xmpptest.Compare(&fake, file, parse(t, "C: <a/>"))
	assert.Empty(t, fake.failed)
	xmpptest.Compare(&fake, file, parse(t, "C: <b/>"))
	assert.Contains(t, fake.failed, "flight 1 (C): differs at byte 1")
	assert.Contains(t, fake.failed, "-update")
}

func TestUpdateFlag(t *testing.T) {
	f := flag.Lookup("update")
	require.NotNil(t, f)
	was := f.Value.String()
	t.Cleanup(func() { _ = f.Value.Set(was) })
	require.NoError(t, f.Value.Set("true"))

	file := golden(t, "C: <a/>")
	var fake fakeT
	xmpptest.Compare(&fake, file, parse(t, "C: <b/>"))
	assert.Empty(t, fake.failed)
	assert.Equal(t, "C: <b/>\n", content(t, file))
}
