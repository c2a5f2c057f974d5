// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

const updateFlag = "update"

func init() {
	// Another package of the test binary may have got there first.
	if flag.Lookup(updateFlag) == nil {
		flag.Bool(updateFlag, false, "rewrite golden transcripts that differ")
	}
}

func update() bool {
	f := flag.Lookup(updateFlag)
	return f != nil && f.Value.String() == "true"
}

// Compare compares a transcript with a golden file and fails the test if they
// differ.
// Placeholders in the file are matched; how flights are split into lines does
// not matter.
//
// With the flag -update of the test binary, a file that differs is rewritten
// instead, see [CompareFile].
func Compare(t testing.TB, file string, got Transcript) {
	t.Helper()
	if err := CompareFile(file, got, update()); err != nil {
		t.Errorf("%v (run the test with -%s to rewrite the file)", err, updateFlag)
	}
}

// CompareFile is the core of [Compare].
//
// If update is set and the transcripts differ, or the file is not there or
// cannot be parsed, the file is written.
// Of the old file, the comments at its start and flights that still match
// survive, the latter with their placeholders.
func CompareFile(file string, got Transcript, update bool) error {
	want, err := ReadTranscript(file)
	switch {
	case err == nil:
		err = want.Match(got)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("%s: %w", file, err)
	case errors.Is(err, fs.ErrNotExist), !update:
	default:
		want = nil
	}
	if !update {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(merge(want, got).String()), 0o666)
}

// Match compares got, which has no placeholders, flight by flight.
func (tr Transcript) Match(got Transcript) error {
	want, have := tr.Flights(), got.Flights()
	vars := make(map[string]string)
	for i := range min(len(want), len(have)) {
		if err := matchLine(want[i], have[i], vars); err != nil {
			return fmt.Errorf("flight %d (%s): %w", i+1, want[i].speaker(), err)
		}
	}
	switch {
	case len(want) > len(have):
		return fmt.Errorf("missing flight %d: %s", len(have)+1, want[len(have)])
	case len(have) > len(want):
		return fmt.Errorf("unexpected flight %d: %s", len(want)+1, have[len(want)])
	}
	return nil
}

// matchLine compares two lines, each of which is a whole flight.
func matchLine(want, got Line, vars map[string]string) error {
	if want.Kind != got.Kind || want.Kind == Bytes && want.Side != got.Side || want.Kind == Stage && want.Text != got.Text {
		return fmt.Errorf("want %s, got %s", want, got)
	}
	if want.Kind != Bytes {
		return nil
	}
	text, err := expand(got.Text, nil)
	if err != nil {
		return err
	}
	return matchText(want.Text, text, vars)
}

// matchText compares bytes with the text that must match all of them.
func matchText(want, got string, vars map[string]string) error {
	p, err := compile(want)
	if err != nil {
		return err
	}
	if n, o := p.match(got, vars); o != matches || n < len(got) {
		return mismatch(want, got, n)
	}
	return nil
}

// merge returns got with what can be kept of old.
func merge(old, got Transcript) Transcript {
	var out Transcript
	for _, line := range old {
		if line.Kind != Comment {
			break
		}
		out = append(out, line)
	}
	was := old.group()
	vars := make(map[string]string)
	for i, lines := range got.group() {
		if i < len(was) && matchLine(was[i].Flights()[0], lines.Flights()[0], vars) == nil {
			lines = was[i]
		}
		out = append(out, lines...)
	}
	return out
}
