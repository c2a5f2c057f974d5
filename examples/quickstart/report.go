// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// A report is what all strategies came to.
type report struct {
	rtt        time.Duration
	runs       int
	addr       string // of the server that the user has named, if any
	account    jid.JID
	advertised bool // that server announces pipelining
	rows       []row
}

// How a strategy ended.
type status string

const (
	ok         status = ""
	failed     status = "failed"
	lost       status = "lost" // the server lost what was sent ahead
	notOffered status = "not offered"
)

// A row is what one strategy came to.
type row struct {
	strategy
	samples []sample
	status  status
	err     string
}

// failed reports whether there is something that should not be: a failure, a
// finding that no other login of the group makes up for, or no login at all.
func (rep *report) failed() bool {
	works := map[string]bool{}
	for _, r := range rep.rows {
		works[r.group()] = works[r.group()] || r.status == ok
		works[""] = works[""] || r.status == ok
	}
	return !works[""] || slices.ContainsFunc(rep.rows, func(r row) bool {
		return r.status == failed || r.status == lost && !works[r.group()]
	})
}

func (r row) time() time.Duration {
	return median(r.samples, func(s sample) time.Duration { return s.took })
}
func (r row) flights() int  { return median(r.samples, func(s sample) int { return s.flights }) }
func (r row) sent() int     { return median(r.samples, func(s sample) int { return s.sent }) }
func (r row) received() int { return median(r.samples, func(s sample) int { return s.received }) }

// median returns the middle value, or between two of them the lower one: it is
// always something that was measured.
func median[T int | time.Duration](samples []sample, value func(sample) T) T {
	if len(samples) == 0 {
		return 0
	}
	values := make([]T, 0, len(samples))
	for _, s := range samples {
		values = append(values, value(s))
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// stock returns the row that others of the group are compared with.
func (rep *report) stock(group string) (row, bool) {
	i := slices.IndexFunc(rep.rows, func(r row) bool { return r.group() == group })
	return rep.rows[i], rep.rows[i].status == ok
}

// times returns how many times as fast as stock a row is, or 0 if nobody knows.
func (rep *report) times(r row) float64 {
	stock, known := rep.stock(r.group())
	if !known || r.status != ok || r.time() == 0 {
		return 0
	}
	return float64(stock.time()) / float64(r.time())
}

// slowest returns the longest time of all rows.
func (rep *report) slowest() time.Duration {
	var slowest time.Duration
	for _, r := range rep.rows {
		if r.status == ok {
			slowest = max(slowest, r.time())
		}
	}
	return slowest
}

// best returns the row to be proud of, with the one it is compared to: with a
// token if there is one, pipelined if a server takes it and paced otherwise, from
// the first group that has both.
func (rep *report) best() (stock, best row, found bool) {
	for _, token := range []bool{true, false} {
		for _, c := range []client{fullClient, pacedClient} {
			for _, r := range rep.rows {
				if r.client != c || r.status != ok || r.resume || token != (r.profile == fast) {
					continue
				}
				if stock, known := rep.stock(r.group()); known {
					return stock, r, true
				}
			}
		}
	}
	return row{}, row{}, false
}

// id is a name for the strategy that is unique and stays.
func (s strategy) id() string {
	parts := []string{"starttls", string(s.profile), string(s.client), s.server}
	if s.target.direct {
		parts[0] = "direct"
	}
	if s.profile == rfc6120 {
		parts[1] = strings.ToLower(s.mech)
	}
	if s.resume {
		parts = append(parts, "resumed")
	}
	return strings.Join(parts, "/")
}

// mechanism returns the mechanism that was used, or would have been if it is known.
func (r row) mechanism() string {
	switch {
	case r.profile == rfc6120:
		return r.mech
	case len(r.samples) > 0:
		return r.samples[0].login.Mechanism
	}
	return ""
}

// jsonRow is a row for machines. Numbers are 0 where nothing was measured.
type jsonRow struct {
	Strategy   string  `json:"strategy"`  // unique and stable
	TLS        string  `json:"tls"`       // starttls, direct
	Profile    string  `json:"profile"`   // rfc6120, sasl2, fast
	Mechanism  string  `json:"mechanism"` // the SASL mechanism; empty if SASL2 did not get that far
	Client     string  `json:"client"`    // stock, off, paced, full
	Server     string  `json:"server"`    // stock, ours, remote
	Resumed    bool    `json:"resumed"`   // TLS resumes an earlier session
	Status     string  `json:"status"`    // ok, failed, lost, not offered
	Error      string  `json:"error"`
	Runs       int     `json:"runs"` // that were measured
	RTTMs      float64 `json:"rtt_ms"`
	Flights    int     `json:"flights"`
	Sent       int     `json:"bytes_sent"`
	Received   int     `json:"bytes_received"`
	MedianMs   float64 `json:"median_ms"`
	TimesStock float64 `json:"times_stock"`
}

// writeJSON writes the rows as one JSON array.
func writeJSON(w io.Writer, rep *report) error {
	rows := make([]jsonRow, 0, len(rep.rows))
	for _, r := range rep.rows {
		j := jsonRow{
			Strategy: r.id(), TLS: "starttls", Profile: string(r.profile), Mechanism: r.mechanism(),
			Client: string(r.client), Server: r.server,
			Resumed: r.resume, Status: string(r.status), Error: r.err, Runs: len(r.samples),
			RTTMs: ms(rep.rtt),
		}
		if r.target.direct {
			j.TLS = "direct"
		}
		if r.status == ok {
			j.Status = "ok"
			j.Flights, j.Sent, j.Received = r.flights(), r.sent(), r.received()
			j.MedianMs, j.TimesStock = ms(r.time()), math.Round(100*rep.times(r))/100
		}
		rows = append(rows, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(rows)
}

// ms returns milliseconds with microseconds behind the point.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
