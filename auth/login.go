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
	"slices"
	"strings"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// A login is the client's side of one attempt.
type login struct {
	c         *Client
	s         *xmpp.Session
	profile   *profile
	mechanism string
	gs2       gs2     // what it says about channel binding
	account   jid.JID // who to be
	request   []byte  // the element to begin with

	n     *sasl.Negotiator
	more  bool // the mechanism expects something from the server
	steps int  // how many challenges there were

	token   Token    // the one that is used
	wanted  string   // the mechanism of the token that is asked for
	riders  []rider  // what was asked for inline
	tasks   int      // how many tasks have begun
	pending taskStep // the task that is being done
}

type taskStep = func(xml.TokenReader) (xml.TokenReader, error)

// A rider waits for its part of success.
type rider struct {
	space  string
	answer func(d *xml.Decoder, start xml.StartElement, address jid.JID) (jid.JID, error)
}

// prepare begins an attempt. Offering is nil if nothing has been offered yet.
func (c *Client) prepare(ctx context.Context, s *xmpp.Session, p *profile, name string, g gs2, t Token, o *offering) (*login, error) {
	l := &login{c: c, s: s, profile: p, mechanism: name, gs2: g, account: s.LocalAddr().Bare(), token: t}
	if c.Identity != "" {
		j, err := jid.Parse(c.Identity)
		if err != nil {
			return nil, fmt.Errorf("auth: Client.Identity: %w", err)
		}
		l.account = j.Bare()
	}
	m, err := c.mechanism(name, g)
	if err != nil {
		return nil, err
	}
	password, err := l.password(ctx, o)
	if err != nil {
		return nil, err
	}
	user := []byte(s.LocalAddr().Localpart())
	opts := []sasl.Option{sasl.Credentials(func() ([]byte, []byte, []byte) { return user, password, []byte(c.Identity) })}
	if o != nil {
		opts = append(opts, sasl.RemoteMechanisms(slices.Concat(o.names, o.legacy)...))
	} else {
		opts = append(opts, sasl.RemoteMechanisms(name))
	}
	if state := s.ConnectionState(); state.Version != 0 {
		opts = append(opts, sasl.TLSState(state))
	}
	l.n = sasl.NewClient(m, opts...)
	more, first, err := l.n.Step(nil)
	if err != nil {
		return nil, err
	}
	l.more = more
	return l, l.write(first, o)
}

// password returns the token or the password, whichever the mechanism needs.
func (l *login) password(ctx context.Context, o *offering) ([]byte, error) {
	switch {
	case !l.token.IsZero():
		return []byte(l.token.Secret), nil
	case l.mechanism == External || l.c.Password == nil:
		return nil, nil
	}
	ask := l.c.Password
	if o != nil && o.password != nil {
		ask = o.password
	}
	password, err := ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("auth: asking for the password: %w", err)
	}
	return []byte(password), nil
}

// write makes the element to begin with.
func (l *login) write(first []byte, o *offering) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%s xmlns='%s' mechanism='%s'>", l.profile.begin, l.profile.ns, quote(l.mechanism))
	if l.profile == rfc6120 {
		if first != nil { // That is not the same as nothing (RFC 6120, section 6.4.2).
			b.WriteString(l.profile.encode(first))
		}
		b.WriteString("</auth>")
		l.request = b.Bytes()
		return nil
	}
	if first != nil {
		write(&b, "initial-response", "", l.profile.encode(first))
	}
	if err := l.c.UserAgent.write(&b); err != nil {
		return err
	}
	if err := l.ride(&b, o); err != nil {
		return err
	}
	if !l.token.IsZero() {
		b.WriteString("<fast xmlns='" + NSFAST + "'")
		if l.c.Invalidate {
			b.WriteString(" invalidate='true'")
		}
		b.WriteString("/>")
	}
	if l.wanted = l.want(o); l.wanted != "" {
		fmt.Fprintf(&b, "<request-token xmlns='%s' mechanism='%s'/>", NSFAST, quote(l.wanted))
	}
	b.WriteString("</authenticate>")
	l.request = b.Bytes()
	return nil
}

func (a UserAgent) write(b *bytes.Buffer) error {
	if a == (UserAgent{}) {
		return nil
	}
	b.WriteString("<user-agent")
	if a.ID != "" {
		if !uuid4.MatchString(a.ID) {
			return errors.New("auth: the ID of the user agent must be a UUID of version 4")
		}
		b.WriteString(" id='" + a.ID + "'")
	}
	b.WriteByte('>')
	if a.Software != "" {
		write(b, "software", "", quote(a.Software))
	}
	if a.Device != "" {
		write(b, "device", "", quote(a.Device))
	}
	b.WriteString("</user-agent>")
	return nil
}

// ride asks for what rides along.
func (l *login) ride(b *bytes.Buffer, o *offering) error {
	if _, ok := negotiated(l.s).(follower); !ok {
		return nil
	}
	for _, f := range l.c.Inline {
		var offer xml.TokenReader
		if o != nil {
			e, ok := o.inline[f.Feature().Space]
			if !ok || e.start.Name != f.Feature() {
				continue
			}
			offer = e.whole()
		}
		request, answer, err := f.Request(l.s.LocalAddr(), offer)
		if err != nil {
			return fmt.Errorf("auth: inline %s: %w", f.Feature().Local, err)
		}
		if len(request) > 0 {
			b.Write(request)
			l.riders = append(l.riders, rider{f.Feature().Space, answer})
		}
	}
	return nil
}

// want returns the mechanism to ask for a token for.
func (l *login) want(o *offering) string {
	if l.c.Tokens == nil || l.c.UserAgent.ID == "" || l.c.Invalidate || !l.c.himself(l.s) {
		return ""
	}
	offered := []string{l.c.TokenMechanism}
	if o != nil {
		offered = o.tokens
	}
	state := l.s.ConnectionState()
	best := firstCommon(htPossible(tokenMechanisms, clientBindings(&state)), offered)
	if !l.token.IsZero() && (binds(l.token.Mechanism) || !binds(best)) {
		return "" // The server replaces it when it is time.
	}
	return best
}

// last reports whether a stream may begin behind what was returned to be sent.
func (l *login) last() bool {
	if l.profile == sasl2 {
		return false
	}
	return !l.more || isScram(l.mechanism) && l.steps == 1
}

// another reports whether another attempt may do better.
func (l *login) another(f Failure) bool {
	return !l.token.IsZero() || f.Condition == InvalidMechanism || f.Condition == MechanismTooWeak
}

// step takes what the server has sent, and returns what to send. The login is
// complete if mask is not zero.
func (l *login) step(ctx context.Context, e element) (out []byte, mask xmpp.SessionState, err error) {
	if e.start.Name.Space != l.profile.ns {
		return nil, 0, fmt.Errorf("%w: %s", errUnexpected, e.start.Name.Local)
	}
	switch e.start.Name.Local {
	case "failure":
		return nil, 0, l.failed(ctx, l.profile.readFailure(e))
	case "challenge":
		return l.challenged(e)
	case "success":
		mask, err = l.succeeded(ctx, e)
		return nil, mask, err
	case "continue":
		if l.profile == sasl2 {
			return l.goOn(ctx, e)
		}
	case "task-data":
		if l.pending != nil {
			return l.taskData(e)
		}
	}
	return nil, 0, fmt.Errorf("%w: %s", errUnexpected, e.start.Name.Local)
}

func (l *login) failed(ctx context.Context, f Failure) error {
	l.c.logger().DebugContext(ctx, "auth: login failed", "account", l.account, "mechanism", l.mechanism, "condition", f.Condition)
	if !l.token.IsZero() && f.Condition != TemporaryAuthFailure {
		l.c.forget(ctx, l.s.LocalAddr().Bare(), l.token)
	}
	return f
}

func (l *login) challenged(e element) ([]byte, xmpp.SessionState, error) {
	data, err := e.message(l.profile)
	if err != nil {
		return l.abort(), 0, fmt.Errorf("%w: challenge: %w", ErrUnproven, err)
	}
	if l.steps++; !l.more || l.steps > maxSteps {
		return l.abort(), 0, fmt.Errorf("%w: a challenge", errUnexpected)
	}
	more, response, err := l.n.Step(data)
	if err != nil {
		return l.abort(), 0, unproven(err)
	}
	l.more = more
	return l.profile.response(response), 0, nil
}

func (l *login) abort() []byte { return []byte("<abort xmlns='" + l.profile.ns + "'/>") }

func unproven(err error) error {
	if errors.Is(err, ErrUnproven) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnproven, err)
}

// prove hands the mechanism the data that came with success, nil if there was
// none.
func (l *login) prove(data []byte) error {
	if !l.more {
		return nil
	}
	if data == nil {
		return ErrUnproven
	}
	more, _, err := l.n.Step(data)
	switch {
	case err != nil:
		return unproven(err)
	case more:
		return ErrUnproven
	}
	l.more = false
	return nil
}

// additional returns the data that came with success.
func (l *login) additional(e element) ([]byte, error) {
	if l.profile == sasl2 {
		var ok bool
		if e, ok = e.child(NSSASL2, "additional-data"); !ok {
			return nil, nil
		}
	} else if len(e.inner) == 0 {
		return nil, nil
	}
	data, err := e.message(l.profile)
	if err != nil {
		return nil, fmt.Errorf("%w: success: %w", ErrUnproven, err)
	}
	return data, nil
}

func (l *login) succeeded(ctx context.Context, e element) (xmpp.SessionState, error) {
	data, err := l.additional(e)
	if err != nil {
		return 0, err
	}
	if err := l.prove(data); err != nil {
		return 0, err
	}
	done := Login{Account: l.account, Mechanism: l.mechanism, Profile: RFC6120, UserAgent: l.c.UserAgent}
	mask := xmpp.Authn
	if l.profile == sasl2 {
		done.Profile = SASL2
		var more xmpp.SessionState
		if done.Bound, more, err = l.welcome(ctx, e); err != nil {
			return 0, err
		}
		mask |= more
	}
	l.c.logger().DebugContext(ctx, "auth: logged in", "account", l.account, "mechanism", l.mechanism)
	if l.c.Observe != nil {
		l.c.Observe(l.s, done)
	}
	return mask, nil
}

// welcome reads what success says in SASL2. If an address was bound it returns it,
// and Ready if that is all: otherwise the connection sees to the features that
// follow.
func (l *login) welcome(ctx context.Context, e element) (jid.JID, xmpp.SessionState, error) {
	address := l.account
	if c, ok := e.child(NSSASL2, "authorization-identifier"); ok {
		text, _ := c.text()
		j, err := jid.Parse(strings.TrimSpace(text))
		if err != nil || !l.mine(j) {
			return jid.JID{}, 0, fmt.Errorf("%w: %q", ErrIdentity, text)
		}
		address = j
	}
	var (
		bound   jid.JID
		resumed bool
		fresh   Token
	)
	for _, c := range e.children() {
		if c.is(NSFAST, "token") {
			fresh = l.readToken(c)
			continue
		}
		resumed = resumed || c.is(nsSM, "resumed")
		for _, r := range l.riders {
			if r.space != c.start.Name.Space || r.answer == nil {
				continue
			}
			now, err := r.answer(c.decoder(), c.start, address)
			switch {
			case err != nil:
				return jid.JID{}, 0, ours{fmt.Errorf("auth: inline %s: %w", c.start.Name.Local, err)}
			case now.Equal(jid.JID{}):
				continue
			case now.Resourcepart() == "" || !l.mine(now):
				return jid.JID{}, 0, fmt.Errorf("%w: %q is bound", ErrIdentity, now)
			}
			bound = now
		}
	}
	switch {
	case !l.token.IsZero() && l.c.Invalidate:
		l.c.forget(ctx, l.s.LocalAddr().Bare(), l.token)
	case !fresh.IsZero():
		l.c.keep(ctx, l.s.LocalAddr().Bare(), fresh)
	}
	if bound.Equal(jid.JID{}) {
		return jid.JID{}, 0, nil
	}
	l.s.UpdateAddr(bound)
	if f, ok := negotiated(l.s).(follower); ok && !resumed {
		f.FeaturesFollow()
		return bound, 0, nil
	}
	return bound, xmpp.Ready, nil
}

// mine reports whether j is the account. Who logs in as nobody in particular may
// become anybody of the domain.
func (l *login) mine(j jid.JID) bool {
	if l.account.Localpart() == "" {
		return j.Domainpart() == l.account.Domainpart()
	}
	return j.Bare().Equal(l.account)
}

// readToken returns the token that the server has given, or none.
func (l *login) readToken(e element) Token {
	t := Token{Mechanism: l.wanted}
	if t.Mechanism == "" {
		t.Mechanism = l.token.Mechanism
	}
	secret, _ := e.attr("token")
	expiry, _ := e.attr("expiry")
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(expiry))
	if err != nil || t.Mechanism == "" {
		return Token{} // It was not asked for, or is of no use.
	}
	t.Secret, t.Expires = Secret(secret), at
	return t
}

// goOn begins a task.
func (l *login) goOn(ctx context.Context, e element) ([]byte, xmpp.SessionState, error) {
	data, err := l.additional(e)
	if err == nil {
		err = l.prove(data)
	}
	if err != nil {
		return l.abort(), 0, err
	}
	var names []string
	if tasks, ok := e.child(NSSASL2, "tasks"); ok {
		for _, c := range tasks.children() {
			name, _ := c.text()
			names = append(names, name)
		}
	}
	i := slices.IndexFunc(l.c.Tasks, func(t ClientTask) bool { return slices.Contains(names, t.Name) })
	if i < 0 {
		return l.abort(), 0, fmt.Errorf("%w: %q", ErrTask, names)
	}
	if l.tasks++; l.tasks > maxTasks {
		return l.abort(), 0, fmt.Errorf("%w: too many tasks", errUnexpected)
	}
	first, step, err := l.c.Tasks[i].Begin(ctx)
	if err != nil {
		return l.abort(), 0, ours{fmt.Errorf("auth: task %s: %w", l.c.Tasks[i].Name, err)}
	}
	l.pending, l.steps = step, 1
	return l.wrap(fmt.Sprintf("<next xmlns='%s' task='%s'>", NSSASL2, quote(l.c.Tasks[i].Name)), first, "</next>")
}

func (l *login) taskData(e element) ([]byte, xmpp.SessionState, error) {
	if l.steps++; l.steps > maxSteps {
		return l.abort(), 0, fmt.Errorf("%w: too much of a task", errUnexpected)
	}
	reply, err := l.pending(e.reader())
	if err != nil {
		return l.abort(), 0, ours{fmt.Errorf("auth: task: %w", err)}
	}
	return l.wrap("<task-data xmlns='"+NSSASL2+"'>", reply, "</task-data>")
}

func (l *login) wrap(start string, r xml.TokenReader, end string) ([]byte, xmpp.SessionState, error) {
	var b bytes.Buffer
	b.WriteString(start)
	if err := copyTo(&b, r); err != nil {
		return l.abort(), 0, ours{fmt.Errorf("auth: task: %w", err)}
	}
	b.WriteString(end)
	return b.Bytes(), 0, nil
}
