// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"regexp"
)

// A wireClient reads archives and costs next to nothing: it parses no more than
// it needs.
type wireClient struct {
	conn net.Conn
	buf  []byte
	n    int // how many queries there were
}

const wirePassword = "r0m30"

// dialWire logs in in the clear.
func dialWire(addr, user, domain string) (*wireClient, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &wireClient{conn: conn, buf: make([]byte, 0, 1<<20)}
	open := "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='" + user + "@" + domain + "' to='" + domain + "'>"
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + wirePassword))
	for _, step := range []struct{ send, await string }{
		{open, "</stream:features>"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>", "<success"},
		{open, "</stream:features>"},
		{"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>"},
	} {
		if _, err := c.ask(step.send, step.await); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("logging in at %s: %w", addr, err)
		}
	}
	return c, nil
}

// ask sends something and returns what was received, up to the first end, which is
// the last that the server sends.
func (c *wireClient) ask(send, end string) ([]byte, error) {
	if _, err := io.WriteString(c.conn, send); err != nil {
		return nil, err
	}
	c.buf = c.buf[:0]
	for seen := 0; ; {
		if bytes.Contains(c.buf[seen:], []byte(end)) {
			return c.buf, nil
		}
		seen = max(len(c.buf)-len(end), 0)
		if cap(c.buf)-len(c.buf) < 4<<10 {
			c.buf = append(make([]byte, 0, 2*cap(c.buf)), c.buf...)
		}
		n, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
		if c.buf = c.buf[:len(c.buf)+n]; err != nil {
			return nil, fmt.Errorf("%w after %q", err, c.buf)
		}
	}
}

var wireLast = regexp.MustCompile(`<last>([^<]+)</last>`)

// page asks for a page and returns how many results it has, the id of the last,
// and whether it is complete.
func (c *wireClient) page(limit int, from string) (n int, last string, complete bool, err error) {
	c.n++
	id := fmt.Sprintf("q%d", c.n)
	answer, err := c.ask(fmt.Sprintf("<iq type='set' id='%s'><query xmlns='urn:xmpp:mam:2' queryid='%[1]s'>"+
		"<set xmlns='http://jabber.org/protocol/rsm'><max>%d</max>%s</set></query></iq>", id, limit, from), "</iq>")
	if err != nil {
		return 0, "", false, err
	}
	begin := bytes.LastIndex(answer, []byte("<fin "))
	if begin < 0 {
		return 0, "", false, fmt.Errorf("no answer: %.500q", answer)
	}
	fin := answer[begin:]
	if m := wireLast.FindSubmatch(fin); m != nil {
		last = string(m[1])
	}
	return bytes.Count(answer[:begin], []byte("<result ")), last, bytes.Contains(fin, []byte("complete=")), nil
}

// catchUp reads an archive page by page and returns how many results there were.
func (c *wireClient) catchUp(limit int) (total int, err error) {
	from := ""
	for {
		n, last, complete, err := c.page(limit, from)
		if err != nil {
			return total, err
		}
		total += n
		if complete || n == 0 {
			return total, nil
		}
		from = "<after>" + last + "</after>"
	}
}

// lastPage reads the last page and returns how many results it has.
func (c *wireClient) lastPage(limit int) (int, error) {
	n, _, _, err := c.page(limit, "<before/>")
	return n, err
}
