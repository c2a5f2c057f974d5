// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"io"
	"net"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"
)

// startTLS sends the header, starttls and the ClientHello.
func (c *client) startTLS(ctx context.Context, s *xmpp.Session, conn *Conn) (xmpp.SessionState, io.ReadWriter, error) {
	var b bytes.Buffer
	// Who wants to log in is nobody else's business.
	writeHeader(&b, header{ns: namespaceOf(s), lang: c.cfg.Lang, to: s.RemoteAddr()})
	b.WriteString(`<starttls xmlns='` + nsTLS + `'/>`)
	if err := c.send(ctx, conn, b.Bytes(), nil); err != nil {
		return 0, nil, err
	}
	if err := c.pause(ctx, conn); err != nil {
		return 0, nil, err
	}
	c.await(ctx, conn)
	conn.mute()
	t := tls.Client(conn, c.cfg.tls(s))
	// The first thing that TLS reads is behind <proceed/>.
	conn.prelude = func() error { return c.proceed(ctx, conn) }
	if err := t.Handshake(); err != nil {
		return 0, nil, judge(err)
	}
	return xmpp.Secure, t, nil
}

// proceed reads what the server has to say before TLS. Nothing of it is kept:
// anybody could have said it (RFC 6120 §5.3.4).
func (c *client) proceed(ctx context.Context, conn *Conn) error {
	d := xml.NewDecoder(conn)
	start, err := nextStart(d)
	if err != nil {
		return err
	}
	if start.Name != (xml.Name{Space: stream.NS, Local: "stream"}) {
		return unplanned("%s in place of a stream header", start.Name.Local)
	}
	if start, err = nextStart(d); err != nil {
		return err
	}
	if start.Name != (xml.Name{Space: stream.NS, Local: "features"}) {
		return unplanned("%s in place of features", start.Name.Local)
	}
	features := struct {
		StartTLS *struct{} `xml:"urn:ietf:params:xml:ns:xmpp-tls starttls"`
	}{}
	if err := d.DecodeElement(&features, &start); err != nil {
		return err
	}
	if features.StartTLS == nil {
		return unplanned("STARTTLS is not offered")
	}
	if start, err = nextStart(d); err != nil {
		return err
	}
	if start.Name != (xml.Name{Space: nsTLS, Local: "proceed"}) {
		return unplanned("%s in place of proceed", start.Name.Local)
	}
	c.await(ctx, conn)
	return d.Skip()
}

// nextStart reads up to the next start tag, which may be a stream error.
func nextStart(d *xml.Decoder) (xml.StartElement, error) {
	for {
		tok, err := d.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name == (xml.Name{Space: stream.NS, Local: "error"}) {
			var se stream.Error
			if err := d.DecodeElement(&se, &start); err != nil {
				return xml.StartElement{}, err
			}
			return xml.StartElement{}, se
		}
		return start, nil
	}
}

// tls returns the configuration for STARTTLS, which is the session's own.
func (cfg ClientConfig) tls(s *xmpp.Session) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLS != nil {
		c = cfg.TLS.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = s.LocalAddr().Domainpart()
		if s.State()&xmpp.S2S != 0 {
			c.ServerName = s.RemoteAddr().Domainpart()
		}
	}
	// A refusal of the caller's is final, and must be told from everything else
	// that ends a handshake.
	if check := c.VerifyConnection; check != nil {
		c.VerifyConnection = func(state tls.ConnectionState) error { return refused(check(state)) }
	}
	if check := c.VerifyPeerCertificate; check != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error { return refused(check(raw, chains)) }
	}
	return c
}

// refused returns err, if any, as an ErrUnverifiedTLS.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnverifiedTLS, err)
}

// verify decides whether credentials may be sent on s.
// A session that its creator has declared secure, over something that is not
// TLS, is the creator's to answer for.
func (cfg ClientConfig) verify(s *xmpp.Session) error {
	state := s.ConnectionState()
	switch {
	case s.State()&xmpp.Secure == 0:
		return fmt.Errorf("%w: there is none", ErrUnverifiedTLS)
	case state.Version == 0 && !hasTLS(s.Conn()):
		return nil
	case state.Version == 0:
		return fmt.Errorf("%w: its handshake has not happened", ErrUnverifiedTLS)
	case cfg.VerifyTLS != nil:
		return refused(cfg.VerifyTLS(state))
	case len(state.VerifiedChains) == 0:
		return ErrUnverifiedTLS
	}
	return nil
}

// hasTLS reports whether there is, or is to be, TLS below c.
func hasTLS(c net.Conn) bool {
	for {
		switch below := c.(type) {
		case *Conn:
			c = below.conn
		case layer:
			c = below.prev
		default:
			_, ok := c.(interface{ ConnectionState() tls.ConnectionState })
			return ok
		}
	}
}
