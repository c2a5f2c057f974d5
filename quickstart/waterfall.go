// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// barWidth is how many characters of a line the time from beginning to end takes.
const barWidth = 40

// String returns the report for people: a few lines about the login, and one with a
// bar for each phase.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.title())
	for _, f := range r.facts() {
		fmt.Fprintf(&b, "  %-7s %s\n", f[0], f[1])
	}
	span := r.span()
	for _, p := range r.inOrder() {
		from := min(cell(p.Start, span), barWidth-1)
		to := max(from+1, cell(p.End, span))
		fmt.Fprintf(&b, "  %-7s |%s%s%s| %s\n", p.Name,
			strings.Repeat(" ", from), strings.Repeat("=", to-from), strings.Repeat(" ", barWidth-to), extent(p))
	}
	fmt.Fprintf(&b, "  %-7s %s\n", "total", inMilliseconds(r.Total))
	return b.String()
}

// cell returns how many characters of a bar a time is, as a part of a span.
func cell(d, span time.Duration) int {
	return int(float64(d)/float64(span)*barWidth + 0.5)
}

func (r Report) title() string {
	how := "STARTTLS"
	if r.Direct {
		how = "direct TLS"
	}
	if r.Resumed {
		how += ", resumed"
	}
	return fmt.Sprintf("%s at %s, %s", r.Account, r.Server, how)
}

// facts returns what there is to say besides times, with names.
func (r Report) facts() [][2]string {
	plan := r.Plan
	switch {
	case r.Held:
		plan += "; as planned"
	case r.Attempts > 1:
		plan += "; not as planned"
	}
	profile := "RFC 6120"
	if r.SASL2 {
		profile = "SASL2"
	}
	return [][2]string{
		{"plan", plan},
		{"login", fmt.Sprintf("%s by %s, resource by %s", r.Mechanism, profile, r.Bind)},
		{"flights", fmt.Sprintf("%d, connections %d", r.Flights, r.Attempts)},
		{"bytes", fmt.Sprintf("%d sent, %d received", r.Sent, r.Received)},
	}
}

func extent(p Phase) string {
	return fmt.Sprintf("%s + %s", inMilliseconds(p.Start), inMilliseconds(p.End-p.Start))
}

func inMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", milliseconds(d))
}

// Sizes of a drawing, in pixels.
const (
	svgWidth = 640
	svgLabel = 70  // what is left of the bars
	svgTime  = 150 // what is right of them
	svgLine  = 20
)

// SVG writes the report as a picture of its own, without scripts and without anything
// that is to be loaded. The error is that of w.
func (r Report) SVG(w io.Writer) error {
	phases, facts := r.inOrder(), r.facts()
	height := svgLine * (len(phases) + len(facts) + 3)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="monospace" font-size="12">`+"\n", svgWidth, height)
	fmt.Fprintf(&b, `<title>%s</title>`+"\n", escaped(r.title()))
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	y := svgLine
	text := func(x int, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", x, y, escaped(s))
	}
	text(10, r.title())
	for _, f := range facts {
		y += svgLine
		text(10, f[0])
		text(svgLabel, f[1])
	}
	span, width := float64(r.span()), float64(svgWidth-svgLabel-svgTime)
	for _, p := range phases {
		y += svgLine
		text(10, p.Name)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="12" fill="%s"/>`+"\n",
			svgLabel+width*float64(p.Start)/span, y-10, max(1, width*float64(p.End-p.Start)/span), color(p.Name))
		text(svgWidth-svgTime+5, extent(p))
	}
	y += svgLine
	text(10, "total")
	text(svgLabel, inMilliseconds(r.Total))
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// escaped returns s as text of XML.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // A Builder takes everything.
	return b.String()
}

// color returns the color of a phase, one that people with any sight tell from the
// others.
func color(name string) string {
	switch name {
	case "dns":
		return "#e69f00"
	case "tcp":
		return "#56b4e9"
	case "tls":
		return "#009e73"
	}
	return "#0072b2"
}
