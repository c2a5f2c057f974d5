// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// The table is as wide as the narrowest terminal that people use, less the last
// column, where some terminals break the line.
const (
	tableWidth = 79
	nameWidth  = 20
	barWidth   = 15
)

// A paint is how text looks, as a terminal wants to be told.
type paint string

const (
	bold   paint = "1"
	dim    paint = "2"
	red    paint = "31"
	green  paint = "32"
	yellow paint = "33"
)

// A canvas is what a table is written on.
type canvas struct {
	bytes.Buffer
	colour bool
}

func (c *canvas) paint(p paint, s string) string {
	if !c.colour || s == "" {
		return s
	}
	return "\x1b[" + string(p) + "m" + s + "\x1b[0m"
}

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

// coloured reports whether w wants colours.
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == ""
}

// isTerminal reports whether w is a terminal that can do more than print.
func isTerminal(w io.Writer) bool {
	f, isFile := w.(*os.File)
	if !isFile || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// writeTable writes the report for people.
func writeTable(w io.Writer, rep *report, colour bool) error {
	c := &canvas{colour: colour}
	c.heading(rep)
	c.printf("%s\n", c.paint(dim, fmt.Sprintf("%*s%8s%7s%7s%10s%10s", nameWidth, "", "flights", "sent", "rcvd", "median", "speed-up")))
	group := ""
	for _, r := range rep.rows {
		if g := r.group(); g != group {
			group = g
			c.printf("%s\n", c.paint(bold, g))
		}
		c.row(rep, r)
	}
	c.legend(rep)
	c.summary(rep)
	_, err := w.Write(c.Bytes())
	return err
}

func (c *canvas) heading(rep *report) {
	var version uint16
	for _, r := range rep.rows {
		for _, s := range r.samples {
			version = max(version, s.version)
		}
	}
	with := "TLS"
	if version != 0 {
		with = tls.VersionName(version)
	}
	runs := plural(rep.runs, "run")
	if rep.addr == "" {
		c.printf("XMPP login over %s, %s round trip time (RTT), median of %s\n\n", with, roundTrip(rep.rtt), runs)
		return
	}
	c.printf("XMPP login of %v to %s\n", rep.account, rep.addr)
	added := ""
	if rep.rtt > 0 {
		added = roundTrip(rep.rtt) + " added to the round trip time, "
	}
	c.printf("over %s, %smedian of %s\n", with, added, runs)
	announces := "announces"
	if !rep.advertised {
		announces = "does not announce"
	}
	c.printf("the server %s pipelining\n\n", announces)
}

func (c *canvas) row(rep *report, r row) {
	c.printf("%-*s", nameWidth, "  "+r.name)
	if r.status != ok {
		c.problem(r)
		return
	}
	speedUp, look := "", dim
	if times := rep.times(r); times > 0 {
		speedUp = fmt.Sprintf("%.1f×", times)
	}
	if r.client != stockClient {
		look = green
	}
	c.printf("%8d%7d%7d%10s%10s  %s\n", r.flights(), r.sent(), r.received(), duration(r.time()), speedUp,
		c.paint(look, bar(r.time(), rep.slowest())))
}

// problem prints what is wrong, on one line.
func (c *canvas) problem(r row) {
	msg, look := string(r.status), dim
	switch r.status {
	case failed:
		msg, look = "failed: "+brief(r.err), red
	case lost:
		msg, look = "server lost what was sent ahead", yellow
	}
	c.printf("  %s\n", c.paint(look, cut(msg, tableWidth-nameWidth-2)))
}

// brief leaves out of an error what a person can do without.
func brief(msg string) string {
	for _, prefix := range []string{"auth: ", "pipelining: ", "xmpp: "} {
		msg = strings.ReplaceAll(msg, prefix, "")
	}
	return msg
}

// cut shortens s to a number of characters.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

func (c *canvas) legend(rep *report) {
	lines := []string{
		"flights: how often the client sends and then waits a round trip, TLS included",
		"sent, rcvd: bytes on the wire, up to the moment when the session is ready",
	}
	if rep.addr == "" {
		lines = append(lines, "stock: mellium.im/xmpp alone; servers are ours, but for \"stock both ends\"")
	}
	explained := map[string]bool{}
	explain := func(what, line string) {
		if !explained[what] {
			lines = append(lines, line)
		}
		explained[what] = true
	}
	for _, r := range rep.rows {
		switch {
		case r.status == lost:
			explain("lost", "lost: the client then has to log in anew, step by step")
		case r.status != ok:
		case r.profile == sasl2:
			explain("SASL2", "SASL2: "+r.mechanism()+", and the resource is bound in the login itself")
		case r.profile == fast:
			explain("FAST", "FAST: the same with a token from an earlier login, "+r.mechanism())
		}
	}
	c.printf("\n")
	for _, line := range lines {
		c.printf("%s\n", c.paint(dim, line))
	}
}

// summary says it all in one line.
func (c *canvas) summary(rep *report) {
	stock, best, found := rep.best()
	if !found {
		return
	}
	kind := "login"
	if best.client == pacedClient {
		kind = "paced login"
	}
	if best.profile == fast {
		kind = "later " + kind
	}
	c.printf("\n%s\n", c.paint(bold, fmt.Sprintf("a %s takes %s in place of %d: %s in place of %s", kind,
		plural(best.flights(), "round trip"), stock.flights(), duration(best.time()), duration(stock.time()))))
	if rep.addr != "" && best.time() > stock.time() {
		c.printf("(the server is too near for round trips to matter: try -rtt 100ms)\n")
	}
}

// roundTrip formats a time that was asked for.
func roundTrip(d time.Duration) string { return fmt.Sprintf("%g ms", ms(d)) }

// duration formats a time with three digits, or more if there are seconds.
func duration(d time.Duration) string {
	switch t := ms(d); {
	case t < 9.995:
		return fmt.Sprintf("%.2f ms", t)
	case t < 99.95:
		return fmt.Sprintf("%.1f ms", t)
	default:
		return fmt.Sprintf("%.0f ms", t)
	}
}

// bar draws a value in proportion to the largest, in eighths of a character.
func bar(value, largest time.Duration) string {
	if largest <= 0 || value <= 0 {
		return ""
	}
	eighths := max(1, int((int64(value)*barWidth*8+int64(largest)/2)/int64(largest)))
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return s
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
