// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"fmt"
	"io"
)

// progress is a line on a terminal that says what goes on, until it is cleared.
// On anything else than a terminal nothing is written.
type progress struct {
	w     io.Writer // nil if there is no terminal
	shown bool
}

func newProgress(w io.Writer) *progress {
	if !isTerminal(w) {
		return &progress{}
	}
	return &progress{w: w}
}

// show replaces the line.
func (p *progress) show(format string, args ...any) {
	if p.w == nil {
		return
	}
	p.shown = true
	fmt.Fprint(p.w, "\r\x1b[K"+cut(fmt.Sprintf(format, args...), tableWidth))
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
