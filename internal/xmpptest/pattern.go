// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// Literal returns text that stands for exactly the bytes of s, even if they look
// like a placeholder.
func Literal(s string) string {
	return strings.ReplaceAll(s, "$", "${$}")
}

// anonymous is the name of a placeholder whose value is not remembered.
const anonymous = "_"

// stopBytes are the bytes that the value of a placeholder cannot contain.
const stopBytes = `"'<>`

// pattern is a text with placeholders, taken apart.
// No two placeholders are neighbours and the last part is not a placeholder, so
// that every placeholder is ended by a literal.
type pattern []part

// part is a literal or, if name is not empty, a placeholder.
type part struct {
	literal string
	name    string
}

// tokenize takes a text apart, without looking at the order of the parts.
func tokenize(text string) (pattern, error) {
	var p pattern
	add := func(literal string) {
		if last := len(p) - 1; last >= 0 && p[last].name == "" {
			p[last].literal += literal
		} else if literal != "" {
			p = append(p, part{literal: literal})
		}
	}
	for {
		literal, rest, found := strings.Cut(text, "${")
		add(literal)
		if !found {
			return p, nil
		}
		name, rest, found := strings.Cut(rest, "}")
		switch {
		case !found:
			return nil, errors.New("placeholder without }")
		case name == "$":
			add("$")
		case !isName(name):
			return nil, fmt.Errorf("invalid placeholder ${%s}", name)
		default:
			p = append(p, part{name: name})
		}
		text = rest
	}
}

// compile takes a text apart and checks that it can be matched.
func compile(text string) (pattern, error) {
	p, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	for i := range p {
		switch {
		case p[i].name == "":
		case i == len(p)-1:
			return nil, fmt.Errorf("nothing behind placeholder ${%s}", p[i].name)
		case p[i+1].name != "":
			return nil, fmt.Errorf("nothing between placeholders ${%s} and ${%s}", p[i].name, p[i+1].name)
		}
	}
	return p, nil
}

func isName(s string) bool {
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
		default:
			return false
		}
	}
	return s != ""
}

// expand replaces placeholders by their values, which must all be known.
func expand(text string, vars map[string]string) (string, error) {
	p, err := tokenize(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, part := range p {
		if part.name == "" {
			b.WriteString(part.literal)
			continue
		}
		value, ok := vars[part.name]
		if !ok {
			return "", fmt.Errorf("placeholder ${%s} has no value here", part.name)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// outcome is the result of matching a pattern with the start of some data.
type outcome uint8

const (
	differs outcome = iota // no continuation can match
	partial                // so far so good
	matches                // data starts with a complete match
)

// match matches the pattern with the start of data.
// For a match, n is its length and the values of new placeholders are added to
// vars; else n is how far the data is right.
func (p pattern) match(data string, vars map[string]string) (n int, o outcome) {
	found := make(map[string]string)
	for i, part := range p {
		want := part.literal
		if part.name != "" {
			value, known := found[part.name]
			if !known {
				value, known = vars[part.name]
			}
			if !known {
				value, o = capture(data[n:], p[i+1].literal)
				if o != matches {
					return n + len(value), o
				}
				if part.name != anonymous {
					found[part.name] = value
				}
			}
			want = value
		}
		same := commonPrefix(want, data[n:])
		n += same
		switch {
		case same == len(want):
		case n == len(data):
			return n, partial
		default:
			return n, differs
		}
	}
	maps.Copy(vars, found)
	return n, matches
}

// capture finds the value of a placeholder: at least one byte, none of them a
// stop byte, up to the first occurrence of the literal behind it.
// If there is none, it returns how far the data is right.
func capture(data, next string) (value string, o outcome) {
	if data == "" {
		return "", partial
	}
	end := strings.IndexAny(data, stopBytes)
	if end < 0 {
		end = len(data)
	}
	if end == 0 {
		return "", differs
	}
	if i := strings.Index(data[1:], next); i >= 0 && i+1 <= end {
		return data[:i+1], matches
	}
	// There may be more to come of the value, or of the literal.
	for i := range end {
		if strings.HasPrefix(next, data[i+1:]) {
			return data, partial
		}
	}
	return data[:end+commonPrefix(next, data[end:])], differs
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// mismatch describes how got differs from the text want behind n right bytes.
func mismatch(want, got string, n int) error {
	const before, after = 60, 120
	from := max(0, n-before)
	to := min(len(got), n+after)
	return fmt.Errorf("differs at byte %d\nwant: %s\n got: %s\nfrom: %q", n, want, got, got[from:to])
}
