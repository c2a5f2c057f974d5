// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// Binder supplies what a client binds a resource with, so that it can be sent
// before the server has offered it.
//
// A Binder must be safe for concurrent use.
type Binder interface {
	// Feature returns the name of the stream feature that offers this way of
	// binding.
	Feature() xml.Name

	// Bind begins one attempt for origin, the address that the session was
	// created with: its resourcepart, if any, is what the user asks for.
	//
	// Request is one complete element.
	// Answer is called once with the element that the server sent in return, and
	// returns the full JID that was bound; d reads on behind start, and need not
	// be read to the element's end.
	// A refusal is best returned as a [stanza.Error].
	Bind(origin jid.JID) (request []byte, answer func(d *xml.Decoder, start xml.StartElement) (jid.JID, error), err error)
}

// ResourceBinder returns the Binder of RFC 6120, section 7.
// Unlike mellium's BindResource it sends the resource that is asked for.
func ResourceBinder() Binder { return resourceBinder{} }

type resourceBinder struct{}

func (resourceBinder) Feature() xml.Name { return xml.Name{Space: nsBind, Local: "bind"} }

func (resourceBinder) Bind(origin jid.JID) ([]byte, func(*xml.Decoder, xml.StartElement) (jid.JID, error), error) {
	id := rand.Text()
	var b bytes.Buffer
	fmt.Fprintf(&b, `<iq id='%s' type='set'><bind xmlns='%s'`, id, nsBind)
	if resource := origin.Resourcepart(); resource != "" {
		b.WriteString(`><resource>`)
		if err := xml.EscapeText(&b, []byte(resource)); err != nil {
			return nil, nil, err
		}
		b.WriteString(`</resource></bind></iq>`)
	} else {
		b.WriteString(`/></iq>`)
	}
	return b.Bytes(), func(d *xml.Decoder, start xml.StartElement) (jid.JID, error) {
		return boundResource(d, start, id)
	}, nil
}

func boundResource(d *xml.Decoder, start xml.StartElement, id string) (jid.JID, error) {
	if start.Name != (xml.Name{Space: stanza.NSClient, Local: "iq"}) {
		return jid.JID{}, unplanned("%s in place of the answer to bind", start.Name.Local)
	}
	iq := struct {
		ID   string        `xml:"id,attr"`
		Type stanza.IQType `xml:"type,attr"`
		JID  string        `xml:"urn:ietf:params:xml:ns:xmpp-bind bind>jid"`
		Err  stanza.Error  `xml:"error"`
	}{}
	if err := d.DecodeElement(&iq, &start); err != nil {
		return jid.JID{}, err
	}
	switch {
	case iq.ID != id:
		return jid.JID{}, unplanned("an iq that is not the answer to bind")
	case iq.Type == stanza.ErrorIQ:
		return jid.JID{}, iq.Err
	case iq.Type != stanza.ResultIQ:
		return jid.JID{}, unplanned("an iq that is not an answer")
	}
	bound, err := jid.Parse(strings.TrimSpace(iq.JID))
	if err != nil {
		return jid.JID{}, fmt.Errorf("%w: %w", errAddress, err)
	}
	return bound, nil
}

// errAddress means that a server has bound what the client is not.
var errAddress = errors.New("pipelining: the server bound an address that is not the account's")

// accept checks the address that a server has bound: it must be a full JID of
// the account that has logged in. Who logs in as nobody in particular may become
// anybody of the domain.
func accept(origin, bound jid.JID) error {
	switch {
	case bound.Resourcepart() == "":
		return fmt.Errorf("%w: %q is no full JID", errAddress, bound)
	case bound.Domainpart() != origin.Domainpart(),
		origin.Localpart() != "" && bound.Localpart() != origin.Localpart():
		return fmt.Errorf("%w: %q to the session of %q", errAddress, bound, origin.Bare())
	}
	return nil
}

// feature returns a stream feature that binds for origin, step by step.
func feature(b Binder, origin jid.JID) xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:       b.Feature(),
		Necessary:  xmpp.Authn,
		Prohibited: xmpp.Ready,
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			return true, nil, d.Skip()
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			request, answer, err := b.Bind(origin)
			if err != nil {
				return 0, nil, err
			}
			if _, err := s.Conn().Write(request); err != nil {
				return 0, nil, err
			}
			return xmpp.Ready, nil, readBound(s, answer)
		},
	}
}

// readBound reads the answer to a bind and takes over the address.
func readBound(s *xmpp.Session, answer func(*xml.Decoder, xml.StartElement) (jid.JID, error)) error {
	r := s.TokenReader()
	defer r.Close()
	start, d, err := next(r)
	if err != nil {
		return err
	}
	bound, err := answer(d, start)
	if err != nil {
		return fmt.Errorf("pipelining: binding a resource: %w", within{err})
	}
	if err := accept(s.LocalAddr(), bound); err != nil {
		return err
	}
	// What the answer left unread is not the session's.
	if _, err := xmlstream.Copy(xmlstream.Discard(), d); err != nil {
		return err
	}
	s.UpdateAddr(bound)
	return nil
}

// next reads up to the next start tag, and returns a decoder for the rest of
// its element.
func next(r xml.TokenReader) (xml.StartElement, *xml.Decoder, error) {
	for {
		tok, err := r.Token()
		if err != nil {
			return xml.StartElement{}, nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if tok.Name == (xml.Name{Space: stream.NS, Local: "error"}) {
				return xml.StartElement{}, nil, readStreamError(r, tok)
			}
			// A decoder must have seen the start tag to accept the end tag.
			d := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(tok), xmlstream.InnerElement(r)))
			if _, err := d.Token(); err != nil {
				return xml.StartElement{}, nil, err
			}
			return tok, d, nil
		case xml.EndElement:
			return xml.StartElement{}, nil, errClosed
		}
	}
}

// errClosed means that the server has ended its stream in good order.
var errClosed = errors.New("pipelining: the server closed the stream")

func readStreamError(r xml.TokenReader, start xml.StartElement) error {
	var se stream.Error
	if err := se.UnmarshalXML(xml.NewTokenDecoder(xmlstream.Inner(r)), start); err != nil {
		return err
	}
	return se
}
