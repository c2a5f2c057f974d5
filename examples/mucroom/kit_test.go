// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"crypto/sha1"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	domain = "rooms.example"
	secret = "s3cr3t"
	cave   = "cave@" + domain

	plain = `<x xmlns="http://jabber.org/protocol/muc"/>`
	fast  = plain + `<presence-session xmlns="urn:xmpp:presence-session:0"/>`

	instant = `<query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit"/></query>`
)

// A server is the other end of a component's stream.
type server struct {
	t    *testing.T
	conn net.Conn
	d    *xml.Decoder
}

// accept answers as a server does that knows a secret. Its id is one that changes.
func accept(t *testing.T, conn net.Conn, secret string) *server {
	t.Helper()
	s := &server{t, conn, xml.NewDecoder(conn)}
	start := s.start()
	require.Equal(t, xml.Name{Space: "http://etherx.jabber.org/streams", Local: "stream"}, start.Name)
	id := fmt.Sprint(time.Now().UnixNano())
	s.write(`<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='` + domain + `' id='` + id + `'>`)
	var digest string
	start = s.start()
	require.NoError(t, s.d.DecodeElement(&digest, &start))
	if digest != fmt.Sprintf("%x", sha1.Sum([]byte(id+secret))) {
		s.write(`<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`)
		return s
	}
	s.write("<handshake/>")
	return s
}

func (s *server) write(text string) {
	s.t.Helper()
	_, err := io.WriteString(s.conn, text)
	require.NoError(s.t, err)
}

// start reads up to the next element.
func (s *server) start() xml.StartElement {
	s.t.Helper()
	for {
		t, err := s.d.Token()
		require.NoError(s.t, err)
		if start, ok := t.(xml.StartElement); ok {
			return start
		}
	}
}

// heard is a stanza that the component has sent.
type heard struct {
	XMLName xml.Name
	From    string `xml:"from,attr"`
	To      string `xml:"to,attr"`
	Type    string `xml:"type,attr"`
	ID      string `xml:"id,attr"`
	Body    string `xml:"body"`
	Inner   string `xml:",innerxml"`
	Session struct {
		Session string `xml:"session,attr"`
		ID      string `xml:"id,attr"`
	} `xml:"urn:xmpp:presence-session:0 presence-session"`
}

// resume returns what asks for what has happened since.
func (s heard) resume() string {
	return plain + `<presence-session xmlns="urn:xmpp:presence-session:0" type="resume" session="` + s.Session.Session + `" id="` + s.Session.ID + `"/>`
}

// next reads a stanza. At the end of the stream there is none.
func (s *server) next() (next heard, ok bool) {
	s.t.Helper()
	for {
		t, err := s.d.Token()
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return heard{}, false
		}
		require.NoError(s.t, err)
		switch t := t.(type) {
		case xml.StartElement:
			require.NoError(s.t, s.d.DecodeElement(&next, &t))
			return next, true
		case xml.EndElement:
			return heard{}, false
		}
	}
}

// drain reads up to the end of the stream.
func (s *server) drain() {
	for _, ok := s.next(); ok; _, ok = s.next() {
	}
}

// say sends stanzas to the component, and returns what it sends until it has handled
// them all.
func (s *server) say(stanzas ...string) (all []heard) {
	s.t.Helper()
	written := make(chan struct{})
	go func() { // The component may not read before something of it is read.
		defer close(written)
		s.write(strings.Join(stanzas, "\n") + ask("probe@shakespeare.example/x", domain, "barrier", `<ping xmlns="urn:xmpp:ping"/>`))
	}()
	defer func() { <-written }()
	for {
		next, ok := s.next()
		require.True(s.t, ok, "the stream has ended")
		if next.ID == "barrier" {
			return all
		}
		all = append(all, next)
	}
}

func ask(from, to, id, payload string) string {
	kind := "get"
	if strings.Contains(payload, "submit") {
		kind = "set"
	}
	return `<iq type="` + kind + `" from="` + from + `" to="` + to + `" id="` + id + `">` + payload + `</iq>`
}

func join(from, nick, children string) string {
	return `<presence from="` + from + `" to="` + cave + `/` + nick + `">` + children + `</presence>`
}

// last returns the last stanza for a client that is annotated.
func last(t *testing.T, all []heard, to string) (found heard) {
	t.Helper()
	for _, one := range all {
		if one.To == to && one.Session.ID != "" {
			found = one
		}
	}
	require.NotEmpty(t, found.Session.ID)
	return found
}

// only returns what is for a client.
func only(all []heard, to string) (its []heard) {
	for _, one := range all {
		if one.To == to {
			its = append(its, one)
		}
	}
	return its
}
