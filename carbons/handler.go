// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

// DefaultTimeout is how long Switch may take. The session handles nothing else
// meanwhile.
const DefaultTimeout = 10 * time.Second

// Handler answers clients that turn copies on and off, which they may do as often as
// they like.
//
// It must not be changed once it is in use, and is safe for concurrent use if Switch
// is.
type Handler struct {
	// Resource is the full JID that is bound on the session that the handler serves, so
	// there is a handler for each session. Who a request says to be from is not
	// believed. If it has no resource all clients get not-allowed.
	Resource jid.JID

	// Switch turns copies for a resource on or off. To do so again is not an error.
	// A [stanza.Error] is returned to the client as it is, any other error as
	// internal-server-error, without its text.
	// If Switch is nil no feature is announced, and clients get service-unavailable.
	Switch func(ctx context.Context, resource jid.JID, on bool) error

	// Rules announces that all rules hold on which messages are copied (XEP-0280,
	// section 6.2). They do if [Recent.Eligible] decides for every message, and
	// everybody gets a copy who should.
	Rules bool

	// Timeout is how long Switch may take. If it is not positive it is DefaultTimeout.
	Timeout time.Duration

	// Logger gets the errors of Switch that clients are not told. If it is nil nothing
	// is logged.
	Logger *slog.Logger
}

// Handle returns an option that registers h, for IQs of type set with enable or
// disable.
func Handle(h *Handler) mux.Option {
	return func(m *mux.ServeMux) {
		mux.IQ(stanza.SetIQ, xml.Name{Space: NS, Local: "enable"}, h)(m)
		mux.IQ(stanza.SetIQ, xml.Name{Space: NS, Local: "disable"}, h)(m)
	}
}

// HandleIQ answers one request. It never returns an error of Switch: that would end
// the session.
func (h *Handler) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	account := h.Resource.Bare()
	from, to := iq.From, iq.To
	iq.From = h.Resource // The answer goes nowhere else.
	none := jid.JID{}
	if !full(h.Resource) ||
		!from.Equal(none) && !from.Equal(h.Resource) && !from.Equal(account) ||
		!to.Equal(none) && !to.Equal(account) {
		return refuse(iq, t, stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed})
	}
	iq.To = account
	if h.Switch == nil {
		return refuse(iq, t, stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable})
	}
	timeout := h.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := h.Switch(ctx, h.Resource, start.Name.Local == "enable")
	var refused stanza.Error
	switch {
	case err == nil:
		_, err = xmlstream.Copy(t, iq.Result(nil))
		return err
	case errors.As(err, &refused):
		return refuse(iq, t, refused)
	}
	if h.Logger != nil {
		h.Logger.Error("carbons: switching failed", "resource", h.Resource, "err", err)
	}
	return refuse(iq, t, stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError})
}

func refuse(iq stanza.IQ, t xmlstream.TokenReadEncoder, e stanza.Error) error {
	_, err := xmlstream.Copy(t, iq.Error(e))
	return err
}

// ForFeatures calls f for each feature that a server announces (XEP-0030). It returns
// the first error of f.
func (h *Handler) ForFeatures(node string, f func(info.Feature) error) error {
	if node != "" || h.Switch == nil {
		return nil
	}
	if err := f(info.Feature{Var: NS}); err != nil || !h.Rules {
		return err
	}
	return f(info.Feature{Var: NSRules})
}
