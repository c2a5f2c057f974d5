// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/pipelining"
)

const (
	// loginTimeout is how long a login may take that is not delayed.
	loginTimeout = 20 * time.Second

	// closeTimeout is how long a server may take to say good-bye.
	closeTimeout = 2 * time.Second

	nsSASL = "urn:ietf:params:xml:ns:xmpp-sasl"
)

// A target is a server, and who logs in to it.
type target struct {
	addr     string
	direct   bool
	tls      *tls.Config
	account  jid.JID
	password string
	answer   time.Duration // how long the server may be silent
}

// How a client logs in.
type client string

const (
	stockClient client = "stock" // mellium and nothing else
	pacedClient client = "paced"
	fullClient  client = "full"
)

// A sample is what was measured of one login.
type sample struct {
	counts
	took    time.Duration
	version uint16 // of TLS
	resumed bool
}

// login logs in once and makes sure that the session works.
func (t target) login(ctx context.Context, rtt time.Duration, how client, m sasl.Mechanism) (sample, error) {
	var got sample
	err := t.connect(ctx, rtt, func(ctx context.Context, w *wire) error {
		start := time.Now()
		session, err := xmpp.NewSession(ctx, t.account.Domain(), t.account, t.transport(w, how), 0, t.negotiator(rtt, how, m))
		got.took, got.counts = time.Since(start), w.counted()
		if err != nil {
			return err
		}
		got.version, got.resumed = session.ConnectionState().Version, session.ConnectionState().DidResume
		w.hurry() // What follows is not measured.
		return t.verify(ctx, session)
	})
	return got, err
}

// connect calls f with a connection, which ends with f or with ctx.
func (t target) connect(ctx context.Context, rtt time.Duration, f func(context.Context, *wire) error) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout+20*rtt)
	defer cancel()
	w, err := dialWire(ctx, t.addr, rtt)
	if err != nil {
		return err
	}
	defer w.hangUp()
	// A stock negotiation often does not notice that its context has ended.
	defer context.AfterFunc(ctx, w.hangUp)()
	if err = f(ctx, w); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// transport returns what the stream goes over at its beginning.
func (t target) transport(w *wire, how client) net.Conn {
	switch {
	case !t.direct:
		return w
	case how == stockClient:
		return tls.Client(w, t.tls)
	}
	// The Conn below TLS lets the end of the handshake and what follows it leave
	// together.
	return tls.Client(pipelining.NewConn(w), t.tls)
}

// negotiator returns what makes a session of a connection.
func (t target) negotiator(rtt time.Duration, how client, m sasl.Mechanism) xmpp.Negotiator {
	plan := pipelining.Plan{Mechanism: m.Name}
	switch how {
	case stockClient:
		return negotiator(xmpp.StartTLS(t.tls), xmpp.SASL("", t.password, m), xmpp.BindResource())
	case pacedClient:
		plan.Mode = pipelining.Paced
	case fullClient:
		plan.Mode = pipelining.Full
	}
	return pipelining.Client(plan, pipelining.ClientConfig{
		TLS:           t.tls,
		Password:      t.password,
		Mechanisms:    []sasl.Mechanism{m},
		AnswerTimeout: t.answer + rtt,
	})
}

// verify makes sure that a session is what it should be, and ends it.
func (t target) verify(ctx context.Context, session *xmpp.Session) error {
	if got := session.LocalAddr(); !got.Bare().Equal(t.account) || got.Resourcepart() == "" {
		return fmt.Errorf("the session is that of %q", got)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = session.Serve(nil) // The answer to the ping shows whether it worked.
		cancel()
	}()
	err := ping.Send(ctx, session, t.account.Domain())
	if err != nil && !errors.As(err, new(stanza.Error)) { // An error is an answer too.
		_ = session.Conn().Close()
		<-served
		return fmt.Errorf("the session is ready but dead: ping: %w", err)
	}
	// The login has worked; a server that hangs up in its own way is no failure.
	_ = session.Conn().SetDeadline(time.Now().Add(closeTimeout))
	_ = session.Close()
	<-served
	_ = session.Conn().Close()
	return nil
}

// probe asks what a server offers once there is TLS. It sends no credentials.
func (t target) probe(ctx context.Context, rtt time.Duration) (mechanisms []string, pipelined bool, err error) {
	// A feature that cannot be negotiated only remembers what the server said.
	offer := xmpp.StreamFeature{
		Name:      xml.Name{Space: nsSASL, Local: "mechanisms"},
		Necessary: xmpp.Secure,
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			var offer struct {
				Names []string `xml:"urn:ietf:params:xml:ns:xmpp-sasl mechanism"`
			}
			err := d.DecodeElement(&offer, start)
			return true, offer.Names, err
		},
	}
	err = t.connect(ctx, rtt, func(ctx context.Context, w *wire) error {
		session, err := xmpp.NewSession(ctx, t.account.Domain(), t.account, t.transport(w, stockClient), 0,
			negotiator(xmpp.StartTLS(t.tls), offer))
		if err != nil {
			return err
		}
		data, _ := session.Feature(nsSASL)
		mechanisms, _ = data.([]string)
		pipelined = pipelining.Advertised(session)
		_ = session.Close()
		return nil
	})
	return mechanisms, pipelined, err
}
