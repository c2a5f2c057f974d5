// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// Play speaks one side of a transcript; see [Player.Play].
func Play(conn net.Conn, tr Transcript, side Side) error {
	p := Player{Side: side}
	return p.Play(conn, tr)
}

// Player speaks one side of transcripts.
type Player struct {
	// Side is the side to speak.
	Side Side

	// Vars are the values of placeholders; Play adds those that it reads.
	Vars map[string]string

	// Stage is called for each stage with its name and the connection so far and
	// returns the connection to go on with, for instance a *tls.Conn.
	// If it is nil, transcripts cannot have stages.
	Stage func(name string, conn net.Conn) (net.Conn, error)
}

// Play sends each flight of the player's side in one write, and reads and
// compares those of the other side.
// It ends with the first difference: the error tells which flight it was in.
// Bytes that were read together with the last flight but are not in the
// transcript are an error, too.
//
// Play neither sets deadlines nor closes the connection.
func (p *Player) Play(conn net.Conn, tr Transcript) error {
	if p.Vars == nil {
		p.Vars = make(map[string]string)
	}
	c := &prefixConn{Conn: conn}
	for i, flight := range tr.Flights() {
		var err error
		switch {
		case flight.Kind == Stage:
			c, err = p.stage(flight.Text, c)
		case flight.Side == p.Side:
			err = p.send(c, flight.Text)
		default:
			err = p.expect(c, flight.Text)
		}
		if err != nil {
			return fmt.Errorf("flight %d (%s): %w", i+1, flight.speaker(), err)
		}
	}
	if len(c.prefix) > 0 {
		return fmt.Errorf("unexpected bytes behind the last flight: %s", clip(c.prefix))
	}
	return nil
}

func (p *Player) stage(name string, c *prefixConn) (*prefixConn, error) {
	if p.Stage == nil {
		return c, errors.New("no function for stages")
	}
	next, err := p.Stage(name, c)
	return &prefixConn{Conn: next}, err
}

func (p *Player) send(c net.Conn, text string) error {
	s, err := expand(text, p.Vars)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c, s)
	return err
}

// expect reads until the text has matched or cannot match any more, and leaves
// bytes behind the match in the connection.
func (p *Player) expect(c *prefixConn, text string) error {
	pat, err := compile(text)
	if err != nil {
		return err
	}
	got := string(c.prefix)
	c.prefix = nil
	buf := make([]byte, 4096)
	for {
		n, o := pat.match(got, p.Vars)
		switch {
		case o == matches:
			c.prefix = []byte(got[n:])
			return nil
		case o == differs:
			return mismatch(text, got, n)
		case err != nil:
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%w\nwant: %s\n got: %s", err, text, got)
		}
		n, err = c.Conn.Read(buf)
		got += string(buf[:n])
	}
}

// prefixConn has some bytes to read before those of the connection.
type prefixConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixConn) Read(b []byte) (int, error) {
	if len(c.prefix) > 0 {
		n := copy(b, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// clip quotes the beginning of b.
func clip(b []byte) string {
	const enough = 200
	if len(b) > enough {
		return fmt.Sprintf("%q and %d more", b[:enough], len(b)-enough)
	}
	return fmt.Sprintf("%q", b)
}
