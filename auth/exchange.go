// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/xdg-go/scram"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// An exchange is what a server's mechanisms know of one attempt to log in.
type exchange struct {
	ctx     context.Context
	server  *Server
	session *xmpp.Session // nil outside of Server's own features
	domain  jid.JID
	plus    bool // -PLUS is offered

	client string // the id of the client
	fast   *fastRequest

	claimed jid.JID // who somebody tries to be
	account jid.JID // who has proven to be
	refused error   // why nobody has
}

// A claim is who somebody tries to be.
type claim struct {
	account jid.JID
	known   bool // there is such an account
}

func (x *exchange) mechanism(name string) (sasl.Mechanism, bool) {
	for _, m := range x.server.More {
		if m.Name == name {
			return m, true
		}
	}
	switch {
	case isScram(name):
		return scramServer(name, x), true
	case isHT(name):
		return htServer(name, x), true
	case name == Plain:
		return plainServer(x), true
	case name == External:
		return externalServer(x), true
	}
	return sasl.Mechanism{}, false
}

// bindings returns the channel bindings of the connection.
func (x *exchange) bindings(state *tls.ConnectionState) []scram.ChannelBinding {
	return x.server.bindings(state)
}

// claim notes who somebody tries to be, and asks whether that may be tried.
func (x *exchange) claim(user string) (*claim, error) {
	account, err := jid.New(user, x.domain.Domainpart(), "")
	if err != nil || user == "" {
		account = jid.JID{} // There can be no such account.
	}
	if err := x.limit(account); err != nil {
		return nil, err
	}
	return &claim{account: account}, nil
}

// limit asks whether somebody may try to be an account.
func (x *exchange) limit(account jid.JID) error {
	x.claimed = account
	if x.server.Limit == nil || x.session == nil {
		return nil
	}
	return x.server.Limit(x.ctx, x.session, account)
}

// fits reports whether an account is one that the stream can be of.
func (x *exchange) fits(account jid.JID) bool {
	if x.session != nil && x.session.State()&xmpp.S2S != 0 {
		return account.Localpart() == "" && account.Domainpart() != ""
	}
	return account.Localpart() != "" && account.Domainpart() == x.domain.Domainpart()
}

// keys returns the keys of a user, which are made up if there are none.
func (x *exchange) keys(user, mechanism string) (Keys, *claim, error) {
	c, err := x.claim(user)
	if err != nil {
		return Keys{}, nil, err
	}
	k, err := x.find(c, user, mechanism)
	return k, c, err
}

func (x *exchange) find(c *claim, user, mechanism string) (Keys, error) {
	h, _ := hashOf(mechanism)
	if c.account.Localpart() != "" {
		user = c.account.Localpart() // However it was written.
	}
	// They are made up even if they are not needed, to take the same time.
	k := fakeKeys(x.server.fakes(), user+"@"+x.domain.Domainpart(), h, x.server.iterations())
	if c.account.Equal(jid.JID{}) || x.server.Credentials == nil {
		return k, nil
	}
	stored, err := x.server.Credentials.Keys(x.ctx, c.account, mechanism)
	unknown := errors.Is(err, ErrUnknownAccount)
	if unknown {
		stored, err = k, nil // They take the same way.
	}
	switch {
	case err != nil:
		return Keys{}, fmt.Errorf("auth: the keys of an account: %w", err)
	case !stored.valid(h):
		return Keys{}, fmt.Errorf("auth: the store returned no usable keys for %s", mechanism)
	}
	c.known = !unknown
	return stored, nil
}

// password checks a password against the keys of a user.
func (x *exchange) password(user, password string) (*claim, bool, error) {
	c, err := x.claim(user)
	if err != nil {
		return nil, false, err
	}
	if x.server.Password != nil {
		if c.account.Equal(jid.JID{}) {
			return c, false, nil // There can be no such account.
		}
		c.known, err = x.server.Password(x.ctx, c.account, password)
		return c, c.known, err
	}
	// Both kinds of keys are looked up, and one is computed with, whatever there is.
	k, err := x.find(c, user, ScramSHA256)
	if err != nil {
		return nil, false, err
	}
	known := c.known
	other, err := x.find(c, user, ScramSHA1)
	if err != nil {
		return nil, false, err
	}
	h := scram.SHA256
	if c.known && !known || !c.known && !x.server.offersSHA256() {
		k, h = other, scram.SHA1
	}
	c.known = c.known || known
	return c, k.match(h, password) && c.known, nil
}

// accept is called by mechanisms once the proof is good. It decides whether the
// account may be what the client wants to be.
func (x *exchange) accept(n *sasl.Negotiator, c *claim, identity string) bool {
	if !c.known {
		return false
	}
	x.account = c.account
	return n.Permissions(sasl.Credentials(func() (user, password, id []byte) {
		return []byte(c.account.Localpart()), nil, []byte(identity)
	}))
}

// permit is the permissions function of an exchange.
func (x *exchange) permit(n *sasl.Negotiator) bool {
	user, password, identity := n.Credentials()
	if x.account.Equal(jid.JID{}) {
		x.refused = x.foreign(string(user), string(password)) // One of Server.More.
	}
	if x.refused == nil {
		x.refused = x.identity(string(identity))
	}
	return x.refused == nil
}

// foreign takes over who a mechanism that is not of this package has found.
func (x *exchange) foreign(user, password string) error {
	var (
		c   *claim
		ok  = true
		err error
	)
	if password == "" {
		c, err = x.claim(user)
	} else {
		c, ok, err = x.password(user, password)
	}
	switch {
	case err != nil:
		return err
	case !ok || c.account.Equal(jid.JID{}):
		return errRefused
	}
	x.account = c.account
	return nil
}

// identity checks that a client is who it says it is, in the mechanism and in its
// stream header.
func (x *exchange) identity(identity string) error {
	if identity != "" {
		j, err := jid.Parse(identity)
		if err != nil || !j.Equal(x.account) {
			return Failure{Condition: InvalidAuthzid}
		}
	}
	from := x.session.RemoteAddr()
	if !from.Equal(jid.JID{}) && !from.Bare().Equal(x.account) {
		return Failure{Condition: InvalidAuthzid, Text: "the stream is from another account"}
	}
	return nil
}
