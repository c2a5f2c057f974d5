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
	"slices"
	"strings"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

const (
	// loginTimeout is how long a login may take that is not delayed.
	loginTimeout = 20 * time.Second

	// closeTimeout is how long a server may take to say good-bye.
	closeTimeout = 2 * time.Second

	// agentID is what servers know this program by when they give it a token. There
	// is one for all, so that whoever breaks it off leaves no more than one behind.
	agentID = "5b6b9a0e-9c3c-4a53-8d41-6f0f7b0a2f36"
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

// A way is one way of logging in.
type way struct {
	client  client
	profile profile
	mech    string // the mechanism, or with FAST that of the login that brings the token

	tokens auth.TokenCache // for FAST
	logout bool            // the token is of no use any more after this login
	early  bool            // binds by urn:xmpp:bind2:0
}

// How far a client goes.
type client string

const (
	stockClient client = "stock" // mellium and nothing else
	offClient   client = "off"   // step by step
	pacedClient client = "paced"
	fullClient  client = "full"
)

// What a client logs in by.
type profile string

const (
	rfc6120 profile = "rfc6120"
	sasl2   profile = "sasl2"
	fast    profile = "fast" // SASL2, with a token
)

// A sample is what was measured of one login.
type sample struct {
	counts
	took    time.Duration
	version uint16 // of TLS
	resumed bool
	login   auth.Login // unknown of the stock client
}

// login logs in once and makes sure that the session works.
func (t target) login(ctx context.Context, rtt time.Duration, how way) (sample, error) {
	var got sample
	observe := func(_ *xmpp.Session, l auth.Login) { got.login = l }
	err := t.connect(ctx, rtt, func(ctx context.Context, w *wire) error {
		start := time.Now()
		session, err := xmpp.NewSession(ctx, t.account.Domain(), t.account, t.transport(w, how.client), 0, t.negotiator(rtt, how, observe))
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
func (t target) negotiator(rtt time.Duration, how way, observe func(*xmpp.Session, auth.Login)) xmpp.Negotiator {
	plan := pipelining.Plan{Mechanism: how.mech, SASL2: how.profile != rfc6120}
	switch how.client {
	case stockClient:
		return negotiator(xmpp.StartTLS(t.tls), xmpp.SASL("", t.password, stockMechanisms[how.mech]), xmpp.BindResource())
	case offClient:
		plan.Mode = pipelining.Off
	case pacedClient:
		plan.Mode = pipelining.Paced
	case fullClient:
		plan.Mode = pipelining.Full
	}
	authenticator := &auth.Client{
		Password:   auth.Password(t.password),
		Mechanisms: []string{how.mech},
		UserAgent:  auth.UserAgent{ID: agentID, Software: "quickstart"},
		Tokens:     how.tokens,
		Invalidate: how.logout,
		Observe:    observe,
	}
	binds := &bind2.Client{Tag: "quickstart"}
	if how.profile != rfc6120 {
		authenticator.Inline = []auth.ClientInline{binds.Inline()}
	}
	cfg := pipelining.ClientConfig{
		TLS:           t.tls,
		Authenticator: authenticator,
		AnswerTimeout: t.answer + rtt,
	}
	if how.early {
		cfg.Binder, cfg.Features = binds.Binder(), binds.Prefer(xmpp.BindResource())
	}
	return pipelining.Client(plan, cfg)
}

// stockMechanisms are mellium's own.
var stockMechanisms = map[string]sasl.Mechanism{
	auth.ScramSHA256: sasl.ScramSha256,
	auth.ScramSHA1:   sasl.ScramSha1,
	auth.Plain:       sasl.Plain,
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

// An offer is what a server offers once there is TLS.
type offer struct {
	mechanisms []string // of RFC 6120
	sasl2      []string
	tokens     []string // for FAST
	bindings   []string // types of channel bindings
	version    uint16   // of TLS
	pipelined  bool
}

// has reports whether a mechanism is among those that are offered, and can be used
// on the connection.
func (o offer) has(offered []string, mech string) bool {
	binding := "tls-exporter"
	if o.version < tls.VersionTLS13 {
		binding = "tls-unique"
	}
	if strings.HasSuffix(mech, "-PLUS") && len(o.bindings) > 0 && !slices.Contains(o.bindings, binding) {
		return false
	}
	return slices.Contains(offered, mech)
}

// best returns the mechanism to use SASL2 with, or nothing.
func (o offer) best() string {
	mechanisms := []string{auth.ScramSHA256Plus, auth.ScramSHA256, auth.ScramSHA1Plus, auth.ScramSHA1, auth.Plain}
	i := slices.IndexFunc(mechanisms, func(mech string) bool {
		listed := !strings.HasSuffix(mech, "-PLUS") || len(o.bindings) > 0 // as SASL2 asks for
		return listed && o.has(o.sasl2, mech)
	})
	if i < 0 {
		return ""
	}
	return mechanisms[i]
}

// fast reports whether there is a kind of token that can be used on the connection.
func (o offer) fast() bool {
	usable := []string{auth.HTSHA256Exporter, auth.HTSHA256EndPoint, auth.HTSHA256None}
	if o.version < tls.VersionTLS13 {
		usable[0] = auth.HTSHA256Unique
	}
	return slices.ContainsFunc(usable, func(mech string) bool { return slices.Contains(o.tokens, mech) })
}

// probe asks what a server offers once there is TLS. It sends no credentials.
func (t target) probe(ctx context.Context, rtt time.Duration) (offer, error) {
	var got offer
	err := t.connect(ctx, rtt, func(ctx context.Context, w *wire) error {
		session, err := xmpp.NewSession(ctx, t.account.Domain(), t.account, t.transport(w, stockClient), 0, negotiator(
			xmpp.StartTLS(t.tls),
			listed(auth.NSSASL, "mechanisms"),
			listed(auth.NSSASL2, "authentication"),
			listed(auth.NSChannelBinding, "sasl-channel-binding"),
		))
		if err != nil {
			return err
		}
		read := func(ns string) list {
			data, _ := session.Feature(ns)
			l, _ := data.(list)
			return l
		}
		got.version = session.ConnectionState().Version
		got.pipelined = pipelining.Advertised(session)
		got.mechanisms = read(auth.NSSASL).Mechanisms
		got.sasl2, got.tokens = read(auth.NSSASL2).Mechanisms, read(auth.NSSASL2).Tokens
		for _, b := range read(auth.NSChannelBinding).Bindings {
			got.bindings = append(got.bindings, b.Type)
		}
		_ = session.Close()
		return nil
	})
	return got, err
}

// A list is what any of the features that are asked for may say.
type list struct {
	Mechanisms []string `xml:"mechanism"`
	Tokens     []string `xml:"inline>fast>mechanism"`
	Bindings   []struct {
		Type string `xml:"type,attr"`
	} `xml:"channel-binding"`
}

// listed returns a feature that cannot be negotiated, and so only remembers what
// the server said.
func listed(space, local string) xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:      xml.Name{Space: space, Local: local},
		Necessary: xmpp.Secure,
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			var l list
			err := d.DecodeElement(&l, start)
			return true, l, err
		},
	}
}
