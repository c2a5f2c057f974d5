// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Errors of a [Client] about answers.
var (
	// ErrWrongSender means that a request was answered by somebody else.
	ErrWrongSender = errors.New("mam: an answer from somebody else")

	// ErrBadAnswer means that an answer is not what was asked for.
	ErrBadAnswer = errors.New("mam: an answer that cannot be read")
)

// maxWeight bounds what one answer, or the results of one page, take in memory. It
// is more than DefaultFetchSize messages of a quarter of a mebibyte, which is about
// the largest that servers take.
const maxWeight = 64 << 20

// A question is what a client asks.
type question struct {
	doing   string // for the errors of others
	iq      stanza.IQ
	payload xml.TokenReader
	answer  xml.Name // the name of the element in the answer
	begun   func()   // if not nil, is called when the answer has begun and nothing behind it was read
}

// ask sends a question and decodes the answer into v, which must not be used if
// there is an error.
//
// Mellium knows an answer by its id alone, and reads it without regard to ctx.
func ask(ctx context.Context, s *xmpp.Session, q question, v any) error {
	if s.State()&(xmpp.InputStreamClosed|xmpp.OutputStreamClosed) != 0 {
		return fmt.Errorf("mam: %s: %w", q.doing, xmpp.ErrInputStreamClosed)
	}
	q.iq.ID = rand.Text()
	r, err := s.SendIQ(ctx, q.iq.Wrap(q.payload))
	if err != nil {
		return fmt.Errorf("mam: %s: %w", q.doing, err)
	}
	// It ends with the element, or with the connection.
	done := make(chan error, 1)
	go func() {
		if q.begun != nil {
			q.begun()
		}
		err := q.read(r, s.LocalAddr(), v)
		_ = r.Close() // It has no errors.
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil, errors.Is(err, ErrWrongSender), errors.Is(err, ErrBadAnswer), errors.Is(err, ErrTooLarge):
		return err
	}
	return fmt.Errorf("mam: %s: %w", q.doing, err)
}

// read reads an answer to somebody at an address.
func (q question) read(r xml.TokenReader, me jid.JID, v any) error {
	r = limit(r, maxWeight)
	tok, err := r.Token()
	if err != nil {
		return err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return ErrBadAnswer
	}
	iq, err := stanza.NewIQ(start)
	if err != nil || !answers(iq.From, q.iq.To, me) {
		return ErrWrongSender
	}
	d := xml.NewTokenDecoder(xmlstream.Inner(r))
	for {
		tok, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return ErrBadAnswer
		case err != nil:
			return err
		}
		start, ok := tok.(xml.StartElement)
		switch {
		case !ok:
		case iq.Type == stanza.ErrorIQ && start.Name.Local == "error":
			return refused(d, &start)
		case iq.Type == stanza.ResultIQ && start.Name == q.answer:
			return d.DecodeElement(v, &start)
		default:
			if err := d.Skip(); err != nil {
				return err
			}
		}
	}
}

// refused returns a stanza error.
func refused(d *xml.Decoder, start *xml.StartElement) error {
	var e stanza.Error
	err := d.DecodeElement(&e, start)
	switch {
	case err == nil:
		return e
	case errors.Is(err, ErrTooLarge), errors.As(err, new(*xml.SyntaxError)):
		return err
	}
	return ErrBadAnswer
}

// answers reports whether somebody may answer for whom I have asked. Mellium leaves
// out that something is from my own account, which may answer for itself without
// its address, and by that of the resource too.
func answers(from, asked, me jid.JID) bool {
	if from.Equal(asked) {
		return true
	}
	return isOwn(asked, me) && (isOwn(from, me) || from.Equal(me))
}

// isOwn reports whether an address stands for my account.
func isOwn(j, me jid.JID) bool { return j.Equal(jid.JID{}) || j.Equal(me.Bare()) }

// limit ends what it reads with ErrTooLarge behind tokens of some weight.
func limit(r xml.TokenReader, weight int) xml.TokenReader {
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		if weight < 0 {
			return nil, ErrTooLarge
		}
		tok, err := r.Token()
		weight -= weigh(tok)
		return tok, err
	})
}

// weigh returns about how many bytes a token takes in memory.
func weigh(tok xml.Token) int {
	const each = 64 // itself, an attribute of it
	switch t := tok.(type) {
	case nil:
		return 0
	case xml.StartElement:
		n := each + len(t.Name.Local)
		for _, a := range t.Attr {
			n += each + len(a.Name.Local) + len(a.Value)
		}
		return n
	case xml.CharData:
		return each + len(t)
	case xml.Comment:
		return each + len(t)
	case xml.Directive:
		return each + len(t)
	case xml.ProcInst:
		return each + len(t.Inst)
	}
	return each
}

// An explained error is one of this package's, with what it is about.
type explained struct {
	error
	text string
}

func (e explained) Error() string { return "mam: " + e.text }
func (e explained) Unwrap() error { return e.error }
