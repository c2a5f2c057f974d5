// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

const (
	// maxSteps bounds an exchange. The longest mechanism in use takes three.
	maxSteps = 16

	// maxAgent bounds each description of a user agent, in bytes.
	maxAgent = 1023
)

// A serving is the server's side of authentication on one stream.
type serving struct {
	*offer
	ctx context.Context
	r   xml.TokenReader
}

// negotiate serves both profiles until a client is authenticated: one that has
// failed in one may try the other.
func (s *Server) negotiate(ctx context.Context, session *xmpp.Session, x *offer) (xmpp.SessionState, io.ReadWriter, error) {
	if x.session != session {
		// The features were made for nobody in particular: they hold.
		listed := x
		x = s.offer(session)
		x.names = slices.DeleteFunc(x.names, func(name string) bool { return !slices.Contains(listed.names, name) })
		x.tokens = slices.DeleteFunc(x.tokens, func(name string) bool { return !slices.Contains(listed.tokens, name) })
		x.narrow(ctx)
	}
	r := session.TokenReader()
	defer r.Close()
	v := &serving{offer: x, ctx: ctx, r: r}
	var (
		mask xmpp.SessionState
		rw   io.ReadWriter
	)
	err := v.checkFrom()
	if err == nil {
		mask, rw, err = v.serve()
	}
	if err != nil {
		v.hangUp(err)
	}
	return mask, rw, err
}

// checkFrom refuses a client that claims to be from another domain than the one
// that it talks to. It is no sooner told than when it begins to authenticate: an
// error among the features would end up within their list.
func (v *serving) checkFrom() error {
	from := v.session.RemoteAddr()
	if v.s2s || from.Equal(jid.JID{}) || from.Domainpart() == v.session.LocalAddr().Domainpart() {
		return nil
	}
	return fmt.Errorf("auth: the stream is from another domain: %w", stream.InvalidFrom)
}

func (v *serving) serve() (xmpp.SessionState, io.ReadWriter, error) {
	for tries := 1; ; tries++ {
		e, err := readElement(v.r, ofClient)
		if err != nil {
			return 0, nil, err
		}
		p, l, err := v.begins(e)
		if err != nil {
			return 0, nil, err
		}
		mask, err := v.attempt(e, p, &l)
		v.observe(l, err)
		var f Failure
		switch {
		case err == nil && p == rfc6120:
			return mask, v.session.Conn(), nil
		case err == nil:
			return mask, nil, nil
		case errors.As(err, new(stream.Error)), !errors.As(err, &f):
			return 0, nil, err
		}
		if err := v.send(p.failure(f)); err != nil {
			return 0, nil, err
		}
		if tries == v.server.maxTries() {
			return 0, nil, fmt.Errorf("%w: %w", ErrTooManyTries, stream.PolicyViolation)
		}
	}
}

// begins returns the profile of an element that begins an attempt, and what else
// is known by it.
func (v *serving) begins(e element) (*profile, Login, error) {
	for _, p := range []*profile{rfc6120, sasl2} {
		if e.start.Name.Space != p.ns || !v.server.Profiles.has(p) || p == sasl2 && v.s2s {
			continue
		}
		l := Login{Profile: RFC6120}
		if p == sasl2 {
			l.Profile = SASL2
		}
		return p, l, nil
	}
	switch e.start.Name.Space {
	case stanza.NSClient, stanza.NSServer:
		return nil, Login{}, fmt.Errorf("auth: a stanza before authentication: %w", stream.NotAuthorized)
	}
	return nil, Login{}, fmt.Errorf("auth: %s before authentication: %w", e.start.Name.Local, stream.PolicyViolation)
}

// attempt carries out one attempt. An error that is no Failure ends the stream.
func (v *serving) attempt(e element, p *profile, l *Login) (xmpp.SessionState, error) {
	switch e.start.Name.Local {
	case p.begin:
	case "abort":
		return 0, Failure{Condition: Aborted}
	default:
		return 0, Failure{Condition: MalformedRequest}
	}
	x := &exchange{
		ctx:     v.ctx,
		server:  v.server,
		session: v.session,
		domain:  v.session.LocalAddr(),
		plus:    v.plus(),
		fast:    new(fastRequest),
	}
	defer func() {
		if l.Account = x.claimed; x.refused == nil && !x.account.Equal(jid.JID{}) {
			l.Account = x.account
		}
	}()
	l.Mechanism, _ = e.attr("mechanism")
	if !v.knows(p, l.Mechanism) {
		l.Mechanism = ""
		return 0, Failure{Condition: InvalidMechanism}
	}
	var (
		request *authenticate
		initial = &e
		err     error
	)
	if p == sasl2 {
		if request, err = v.read(e); err != nil {
			return 0, failureOf(err)
		}
		initial = request.initial
		l.UserAgent, x.client, x.fast = request.agent, request.agent.ID, request.fast
		if isHT(l.Mechanism) && (!x.fast.present || x.client == "") {
			return 0, Failure{Condition: MalformedRequest}
		}
	}
	data, err := v.exchange(x, p, l.Mechanism, initial)
	if err != nil {
		return 0, err
	}
	if p == rfc6120 {
		if err := v.free(x); err != nil {
			return 0, err
		}
		if err := v.pin(x.account); err != nil {
			return 0, err
		}
		return xmpp.Authn, v.send(p.success(data))
	}
	return v.succeed(x, request, data, l)
}

// free refuses who has something to do that the profile of RFC 6120 has no way to
// ask for.
func (v *serving) free(x *exchange) error {
	if v.server.Tasks == nil {
		return nil
	}
	tasks, err := v.server.Tasks(v.ctx, v.session, x.account, nil)
	switch {
	case err != nil:
		return v.refuse(x, err)
	case len(tasks) > 0:
		return Failure{Condition: NotAuthorized, Text: "this account needs SASL2"}
	}
	return nil
}

// exchange carries out the mechanism. It returns the data that goes with
// success, nil if there is none.
func (v *serving) exchange(x *exchange, p *profile, name string, initial *element) ([]byte, error) {
	m, ok := x.mechanism(name)
	if !ok {
		return nil, Failure{Condition: InvalidMechanism}
	}
	opts := []sasl.Option{sasl.RemoteMechanisms(v.names...)}
	if v.state != nil {
		opts = append(opts, sasl.TLSState(*v.state))
	}
	n := sasl.NewServer(m, x.permit, opts...)
	v.strict(p == sasl2)
	defer v.strict(false)
	if p == rfc6120 && initial != nil && len(initial.inner) == 0 {
		initial = nil
	}
	if initial == nil {
		// The mechanism wants a message of the client first.
		answer, err := v.ask(p, nil)
		if err != nil {
			return nil, err
		}
		initial = &answer
	}
	for range maxSteps {
		message, err := initial.message(p)
		if err != nil {
			return nil, failureOf(err)
		}
		more, data, err := n.Step(message)
		switch {
		case err != nil:
			return nil, v.refuse(x, err)
		case !more && x.refused != nil:
			return nil, v.refuse(x, x.refused) // One of Server.More that does not take no for an answer.
		case !more && x.account.Equal(jid.JID{}):
			return nil, Failure{Condition: TemporaryAuthFailure} // One of Server.More that asked nobody.
		case !more:
			return data, nil
		}
		answer, err := v.ask(p, data)
		if err != nil {
			return nil, err
		}
		initial = &answer
	}
	return nil, Failure{Condition: MalformedRequest}
}

// refuse returns what a client is told about a mechanism's error.
func (v *serving) refuse(x *exchange, err error) error {
	if x.refused != nil {
		err = x.refused
	}
	f := failureOf(err)
	if f.Condition == TemporaryAuthFailure && !errors.As(err, new(Failure)) {
		v.server.logger().ErrorContext(v.ctx, "auth: a login could not be checked", "account", x.claimed, "err", err)
	}
	return f
}

// ask sends a challenge and returns the response.
func (v *serving) ask(p *profile, data []byte) (element, error) {
	if err := v.send(p.challenge(data)); err != nil {
		return element{}, err
	}
	e, err := readElement(v.r, ofClient)
	switch {
	case err != nil:
		return element{}, err
	case e.is(p.ns, "response"):
		return e, nil
	case e.is(p.ns, "abort"):
		return element{}, Failure{Condition: Aborted}
	case p == rfc6120 && e.start.Name.Space == p.ns:
		return element{}, Failure{Condition: MalformedRequest}
	}
	return element{}, fmt.Errorf("auth: %s while authenticating: %w", e.start.Name.Local, stream.PolicyViolation)
}

// pin makes the account the session's.
func (v *serving) pin(account jid.JID) error {
	if c, ok := negotiated(v.session).(authenticator); ok {
		return c.Authenticated(account)
	}
	if v.session.RemoteAddr().Equal(jid.JID{}) {
		return fmt.Errorf("%w: %w", ErrNotPinned, stream.NotAuthorized)
	}
	return nil // It was compared, and mellium holds later headers against it.
}

// strict makes white space between elements an error, or not, where the
// connection passes over it.
func (v *serving) strict(on bool) {
	if v.server.AllowSpace {
		return
	}
	if c, ok := negotiated(v.session).(refuser); ok {
		c.RefuseSpace(on)
	}
}

func (v *serving) send(p []byte) error {
	_, err := v.session.Conn().Write(p)
	return err
}

// hangUp tells a client why its stream ends, if nobody else does.
func (v *serving) hangUp(err error) {
	if _, ok := negotiated(v.session).(authenticator); ok {
		return // Its negotiator does.
	}
	var se stream.Error
	if !errors.As(err, &se) || errors.As(err, new(errPeer)) {
		return
	}
	var b bytes.Buffer
	b.WriteString("<stream:error>")
	write(&b, se.Err, "urn:ietf:params:xml:ns:xmpp-streams", "")
	b.WriteString("</stream:error></stream:stream>")
	_ = v.send(b.Bytes()) // The stream is over anyway.
}

// observe tells of an attempt.
func (v *serving) observe(l Login, err error) {
	log := v.server.logger()
	if err != nil {
		log.DebugContext(v.ctx, "auth: login refused", "account", l.Account, "mechanism", l.Mechanism, "err", err)
	} else {
		log.DebugContext(v.ctx, "auth: login", "account", l.Account, "mechanism", l.Mechanism)
	}
	if v.server.Observe != nil {
		v.server.Observe(v.ctx, v.session, l, err)
	}
}

// uuid4 is what the id of a user agent must look like (RFC 9562, section 5.4).
var uuid4 = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$`)
