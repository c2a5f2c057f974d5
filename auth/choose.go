// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"mellium.im/sasl"
	"mellium.im/xmpp"
)

// An offering is what a server has offered a client.
type offering struct {
	sasl2   bool // the profile is there, and so are names of it
	names   []string
	legacy  []string           // names in the profile of RFC 6120
	tokens  []string           // names for FAST
	inline  map[string]element // by namespace
	listed  bool               // there is a list of channel bindings
	kinds   []string           // what is in it
	refused []string           // what has failed and is not tried again

	password func(context.Context) (string, error) // asks once
}

// offered returns what the server has sent last.
func offered(s *xmpp.Session) *offering {
	o := &offering{inline: make(map[string]element)}
	read := func(ns string) (element, bool) {
		data, _ := s.Feature(ns)
		e, ok := data.(element)
		return e, ok
	}
	mechanisms := func(e element) (names []string) {
		for _, c := range e.children() {
			if text, ok := c.text(); ok && c.start.Name.Local == "mechanism" && c.start.Name.Space == e.start.Name.Space {
				names = append(names, text)
			}
		}
		return names
	}
	if e, ok := read(NSSASL2); ok {
		o.names = mechanisms(e)
		o.sasl2 = true
		if inline, ok := e.child(NSSASL2, "inline"); ok {
			for _, c := range inline.children() {
				o.inline[c.start.Name.Space] = c
				if c.is(NSFAST, "fast") {
					o.tokens = mechanisms(c)
				}
			}
		}
	}
	if e, ok := read(NSSASL); ok {
		o.legacy = mechanisms(e)
	}
	if e, ok := read(NSChannelBinding); ok {
		o.listed = true
		for _, c := range e.children() {
			if kind, ok := c.attr("type"); ok && c.is(NSChannelBinding, "channel-binding") {
				o.kinds = append(o.kinds, kind)
			}
		}
	}
	return o
}

// refuse leaves a mechanism out from now on.
func (o *offering) refuse(name string) { o.refused = append(o.refused, name) }

// choose prepares the next login to try.
func (c *Client) choose(ctx context.Context, s *xmpp.Session, o *offering) (*login, error) {
	if err := c.verify(s); err != nil {
		return nil, err
	}
	if o.password == nil && c.Password != nil {
		o.password = once(c.Password)
	}
	state := s.ConnectionState()
	bound := clientBindings(&state)
	account := s.LocalAddr().Bare()
	if t := c.token(ctx, account); c.himself(s) && o.sasl2 && !t.IsZero() && slices.Contains(o.tokens, t.Mechanism) && !slices.Contains(o.refused, t.Mechanism) {
		if _, ok := htData(t.Mechanism, bound); ok {
			return c.prepare(ctx, s, sasl2, t.Mechanism, gs2{}, t, o)
		}
	}
	n, err := c.next(s, o)
	if err != nil {
		return nil, err
	}
	return c.prepare(ctx, s, n.profile, n.name, n.gs2, Token{}, o)
}

// A choice is a mechanism that needs a password.
type choice struct {
	profile *profile
	name    string
	gs2     gs2
}

// next returns the best mechanism that is left.
func (c *Client) next(s *xmpp.Session, o *offering) (choice, error) {
	state := s.ConnectionState()
	bound := clientBindings(&state)
	for _, p := range []*profile{sasl2, rfc6120} {
		names := o.names
		if p == rfc6120 {
			names = o.legacy
		}
		name, g, err := c.pick(p, names, o, kinds(bound))
		if err != nil {
			return choice{}, err
		}
		if name != "" {
			return choice{p, name, g}, nil
		}
	}
	return choice{}, fmt.Errorf("%w; it offers %q and %q", ErrNoMechanism, o.names, o.legacy)
}

// pick returns the best mechanism of a profile, or nothing, with what to say
// about channel binding (XEP-0440, section 4).
func (c *Client) pick(p *profile, names []string, o *offering, have []string) (string, gs2, error) {
	if len(names) == 0 {
		return "", gs2{}, nil
	}
	able := slices.ContainsFunc(c.mechanisms(), isPlus)
	offersPlus := slices.ContainsFunc(names, isPlus)
	bindable := offersPlus || p == sasl2 && slices.ContainsFunc(o.tokens, binds)
	common := firstCommon(have, o.kinds)
	if able {
		switch {
		case bindable && len(o.kinds) == 0 && p == sasl2:
			return "", gs2{}, fmt.Errorf("%w: the server lists mechanisms for it, but no types", ErrChannelBinding)
		case len(o.kinds) > 0 && !bindable:
			return "", gs2{}, fmt.Errorf("%w: the server lists types, but no mechanisms for them", ErrChannelBinding)
		case offersPlus && len(o.kinds) > 0 && common == "" && (len(have) > 0 || !slices.Contains(o.kinds, bindEndPoint)):
			return "", gs2{}, fmt.Errorf("%w: the server lists %q", ErrChannelBinding, o.kinds)
		}
	}
	if common == "" && len(o.kinds) == 0 && p == rfc6120 && len(have) > 0 {
		common = have[0] // A server older than the list.
	}
	for _, name := range c.mechanisms() {
		if !slices.Contains(names, name) || slices.Contains(o.refused, name) || isHT(name) || !c.has(name) {
			continue
		}
		switch {
		case isPlus(name) && common == "":
			continue
		case isPlus(name) && len(o.kinds) > 0 && !slices.Contains(o.kinds, cmp.Or(firstCommon(have, c.Bindings), common)):
			// What is left is weaker than what was to be expected of the server.
			return "", gs2{}, fmt.Errorf("%w: the server lists no more than %q", ErrChannelBinding, o.kinds)
		case isPlus(name):
			return name, gs2{kind: common}, nil
		case isScram(name) && able && offersPlus && common != "" && slices.ContainsFunc(o.refused, isPlus):
			// Without binding somebody in the middle could log in, and who but that
			// would list what it refuses?
			return "", gs2{}, fmt.Errorf("%w: the server lists mechanisms for it, and refuses them", ErrChannelBinding)
		case name == Plain && slices.ContainsFunc(o.refused, isScram):
			continue // Nobody who has refused better is handed the password.
		case name == Plain && c.prefersScram(slices.Concat(o.names, o.legacy)):
			continue // The other profile has better.
		}
		// Only what could be used counts (RFC 5802, section 6): somebody in the middle
		// may have put other names into the list, or left them in it.
		seen := slices.ContainsFunc(c.mechanisms(), func(name string) bool { return isPlus(name) && slices.Contains(names, name) && c.has(name) })
		return name, gs2{canBind: able && !seen}, nil
	}
	return "", gs2{}, nil
}

// prefersScram reports whether a server offers SCRAM that goes before PLAIN and needs
// nothing of the connection. PLAIN is one of the client's mechanisms.
func (c *Client) prefersScram(offered []string) bool {
	allowed := c.mechanisms()
	return slices.ContainsFunc(allowed[:slices.Index(allowed, Plain)], func(name string) bool {
		return isScram(name) && !isPlus(name) && slices.Contains(offered, name)
	})
}

// has reports whether there is such a mechanism.
func (c *Client) has(name string) bool {
	_, err := c.mechanism(name, gs2{})
	return err == nil
}

func (c *Client) mechanism(name string, g gs2) (sasl.Mechanism, error) {
	for _, m := range c.More {
		if m.Name == name {
			return m, nil
		}
	}
	if isScram(name) {
		return scramClient(name, g), nil
	}
	return ClientMechanism(name)
}

// once asks for a password once.
func once(ask func(context.Context) (string, error)) func(context.Context) (string, error) {
	var known Secret
	return func(ctx context.Context) (string, error) {
		if known != "" {
			return string(known), nil
		}
		password, err := ask(ctx)
		known = Secret(password)
		return password, err
	}
}

// firstCommon returns the first of list that is also in other.
func firstCommon(list, other []string) string {
	for _, s := range list {
		if slices.Contains(other, s) {
			return s
		}
	}
	return ""
}
