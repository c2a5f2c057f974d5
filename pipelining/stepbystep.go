// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

// informational returns all features that are known, so that they are parsed and
// none is negotiated.
func (cfg ClientConfig) informational() []xmpp.StreamFeature {
	features := append([]xmpp.StreamFeature{StreamFeature(), feature(cfg.Binder, jid.JID{})}, cfg.Authenticator.Features()...)
	for _, f := range cfg.Features {
		if f.Name.Space != nsTLS {
			features = append(features, f)
		}
	}
	for i := range features {
		features[i].Negotiate = nil
	}
	return features
}

// stepByStep returns a negotiator that sends nothing ahead.
func (cfg ClientConfig) stepByStep(s *xmpp.Session) xmpp.Negotiator {
	starttls := xmpp.StartTLS(cfg.tls(s))
	parse := starttls.Parse
	starttls.Parse = func(ctx context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
		_, data, err := parse(ctx, d, start)
		// Optional features alone would make the session ready, before the
		// handshake even.
		return true, data, err
	}
	features := []xmpp.StreamFeature{StreamFeature(), starttls}
	for _, f := range cfg.Authenticator.Features() {
		features = append(features, cfg.speaking(f))
	}
	if s.State()&xmpp.S2S == 0 {
		features = append(features, feature(cfg.Binder, s.LocalAddr()))
	}
	return cfg.stock(append(features, cfg.Features...))
}

// speaking returns a feature of an Authenticator whose errors are final, and which
// is used within verified TLS only.
func (cfg ClientConfig) speaking(f xmpp.StreamFeature) xmpp.StreamFeature {
	negotiate := f.Negotiate
	if negotiate == nil {
		return f
	}
	f.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		if err := cfg.verify(s); err != nil {
			return 0, nil, err
		}
		mask, rw, err := negotiate(ctx, s, data)
		if err != nil {
			err = verdict(err)
		}
		return mask, rw, err
	}
	return f
}

// stock returns mellium's negotiator, which is good for one session.
func (cfg ClientConfig) stock(features []xmpp.StreamFeature) xmpp.Negotiator {
	return xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Lang: cfg.Lang, Features: features}
	})
}

// goOn negotiates step by step.
func (c *client) goOn(ctx context.Context, in, out *stream.Info, s *xmpp.Session, conn *Conn) (xmpp.SessionState, io.ReadWriter, error) {
	conn.swallowNext(c.replayed)
	if conn.in.scan.depth == 0 && s.LocalAddr().Equal(c.origin) {
		// A header is from an account, and some servers answer to no more than that.
		// Features look for the resource that is asked for.
		if s.State()&(xmpp.Secure|xmpp.S2S) == 0 {
			// Whose it is, is nobody else's business yet (RFC 6120, section 4.7.1).
			// mellium's header would say it.
			var b bytes.Buffer
			writeHeader(&b, header{ns: namespaceOf(s), lang: c.cfg.Lang, to: s.RemoteAddr()})
			if _, err := conn.Write(b.Bytes()); err != nil {
				return 0, nil, err
			}
			conn.swallowNext(true)
		}
		in.To, out.From = c.origin.Bare(), c.origin.Bare()
		conn.in.pin = true
		conn.in.owner.behind = func() { in.To, out.From = c.origin, c.origin }
	}
	mask, rw, cache, err := c.lockstep(ctx, in, out, s, c.cache)
	c.cache = cache
	switch {
	case nothingKnown(s, err):
		mask, err = xmpp.Ready, nil
	case err != nil && c.replayed:
		err = judge(err) // The server does not let a client try again.
	}
	c.replayed = false
	if err == nil && mask&xmpp.Ready != 0 {
		err = c.complete(s, mask, conn)
	}
	return mask, rw, err
}

// complete reports what is missing of a session that mellium takes for ready:
// an empty list of features is enough for it.
func (c *client) complete(s *xmpp.Session, mask xmpp.SessionState, conn *Conn) error {
	switch {
	case (s.State()|mask)&xmpp.Authn == 0:
		return ErrNotAuthenticated
	case s.State()&xmpp.S2S == 0 && s.LocalAddr().Equal(c.origin) && conn.in.scan.local() == "features":
		return ErrNotBound
	}
	return nil
}

// nothingKnown reports whether err is mellium's about a list of features of which
// it knows none, and nothing is needed either, as between servers.
// It is not exported (v0.23.0, features.go).
func nothingKnown(s *xmpp.Session, err error) bool {
	const authenticated = xmpp.S2S | xmpp.Authn
	return s.State()&authenticated == authenticated && isNothingKnown(err)
}

func isNothingKnown(err error) bool {
	return err != nil && err.Error() == "xmpp: features advertised out of order"
}
