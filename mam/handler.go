// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

const (
	// DefaultPageSize is how many results a client gets that does not say how many
	// it wants.
	DefaultPageSize = 50

	// DefaultMaxPageSize is how many results a client gets at most.
	DefaultMaxPageSize = 250

	// DefaultTimeout is how long the archive may take for one answer.
	DefaultTimeout = 30 * time.Second

	// maxPageBytes bounds the messages of a page, all of which are held until they
	// have been sent. A page that would be larger ends earlier.
	maxPageBytes = 1 << 20
)

// Handler answers what clients ask of archives: queries, their form, metadata and
// preferences.
//
// It must not be changed once it is in use, and is safe for concurrent use if its
// Archive is.
type Handler struct {
	// Archive keeps the messages. Preferences are served if it is a PreferenceStore.
	Archive Archive

	// Account is the bare JID of the account that has authenticated on the session
	// that the handler serves: a handler for each session is the usual way.
	// If it is the zero JID the sender of a stanza is believed to be who its from
	// attribute says, which somebody must have seen to.
	Account jid.JID

	// Access decides what somebody may see of an archive that is not their own
	// account's. A [stanza.Error] is returned to the client as it is, any other error
	// as forbidden.
	// If it is nil nobody may see anything.
	Access func(ctx context.Context, reader, archive jid.JID) (View, error)

	// Allow changes or refuses preferences that a client wants to set. A stanza.Error
	// is returned to the client. If it is nil all preferences are taken.
	Allow func(ctx context.Context, account jid.JID, p Preferences) (Preferences, error)

	// GroupChat is set if messages of type groupchat go into the archives of
	// accounts too, which is announced.
	GroupChat bool

	// PageSize and MaxPageSize are how many results a client gets that does not say
	// how many it wants, and at most. If they are not positive they are
	// DefaultPageSize and DefaultMaxPageSize.
	PageSize, MaxPageSize int

	// Timeout is how long the archive may take for one answer. If it is not
	// positive it is DefaultTimeout.
	Timeout time.Duration

	// Logger gets what went wrong with the archive. If it is nil nothing is
	// logged.
	Logger *slog.Logger
}

// View is what somebody may see of an archive.
type View struct {
	// Room is set if the archive is a room's: results are from occupants and to
	// nobody in particular.
	Room bool

	// RealJIDs is set if the reader may know who the occupants are. Otherwise it is
	// not told, and may not ask for messages of somebody (XEP-0313, section 6.1.2).
	RealJIDs bool
}

// Handle returns an option that registers h.
func Handle(h *Handler) mux.Option {
	return func(m *mux.ServeMux) {
		for _, typ := range []stanza.IQType{stanza.GetIQ, stanza.SetIQ} {
			for _, local := range []string{"query", "prefs", "metadata"} {
				mux.IQ(typ, xml.Name{Space: NS, Local: local}, h)(m)
			}
		}
	}
}

// HandleIQ answers one request. It never returns an error of the archive: that
// would end the session.
func (h *Handler) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout())
	defer cancel()
	err := h.answer(ctx, iq, t, start)
	var refused stanza.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return h.refuse(iq, t, refused)
	case errors.As(err, new(failure)):
		h.log("mam: the archive failed", "archive", h.archive(iq), "err", err)
		return h.refuse(iq, t, stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError})
	}
	return err // Of the stream.
}

// A failure is an error of the archive.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// failed returns what an error of the archive is to the client.
func failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound):
		return stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
	case errors.Is(err, ErrTooLarge):
		return stanzaError(stanza.Modify, stanza.PolicyViolation, "more than the archive takes")
	}
	return failure{err}
}

func (h *Handler) answer(ctx context.Context, iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	view, err := h.view(ctx, iq)
	if err != nil {
		return err
	}
	switch {
	case start.Name.Local == "query" && iq.Type == stanza.GetIQ:
		return reply(iq, t, formReader())
	case start.Name.Local == "query":
		return h.query(ctx, iq, t, start, view)
	case start.Name.Local == "metadata" && iq.Type == stanza.GetIQ:
		return h.metadata(ctx, iq, t)
	case start.Name.Local == "prefs" && !view.Room:
		return h.prefs(ctx, iq, t, start)
	}
	return stanza.Error{Type: stanza.Cancel, Condition: stanza.FeatureNotImplemented}
}

// reader returns who asks.
func (h *Handler) reader(iq stanza.IQ) jid.JID {
	if !h.Account.Equal(jid.JID{}) {
		return h.Account.Bare()
	}
	return iq.From.Bare()
}

// archive returns whose archive is asked for: without an address, the reader's own.
func (h *Handler) archive(iq stanza.IQ) jid.JID {
	if iq.To.Equal(jid.JID{}) {
		return h.reader(iq)
	}
	return iq.To
}

// view decides what the reader may see.
func (h *Handler) view(ctx context.Context, iq stanza.IQ) (View, error) {
	forbidden := stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	reader, archive := h.reader(iq), h.archive(iq)
	switch {
	case h.Archive == nil:
		return View{}, stanza.Error{Type: stanza.Cancel, Condition: stanza.FeatureNotImplemented}
	case reader.Equal(jid.JID{}):
		return View{}, forbidden
	case reader.Localpart() != "" && archive.Equal(reader):
		return View{RealJIDs: true}, nil
	case h.Access == nil:
		return View{}, forbidden
	}
	who := iq.From
	if who.Equal(jid.JID{}) || !who.Bare().Equal(reader) {
		who = reader
	}
	view, err := h.Access(ctx, who, archive)
	switch {
	case err == nil:
		return view, nil
	case errors.As(err, new(stanza.Error)):
		return View{}, err
	}
	return View{}, forbidden
}

// query answers with results and fin.
func (h *Handler) query(ctx context.Context, iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement, view View) error {
	r, err := parseQuery(payload(t, start), start)
	if err != nil {
		return err
	}
	if view.Room && !view.RealJIDs && !r.query.With.Equal(jid.JID{}) {
		return stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	}
	r.query.Max = min(h.maxPageSize(), h.pageSize())
	if r.hasMax {
		r.query.Max = min(h.maxPageSize(), r.max)
		r.query.Count = r.max == 0
	}
	items, page, err := h.collect(ctx, h.archive(iq).Bare(), r.query)
	if err != nil {
		return failed(err)
	}
	frame := newFrame(iq, r.id, view)
	var tokens []xml.Token
	for _, item := range items {
		tokens = frame.of(item, tokens)
		for _, tok := range tokens {
			if err := t.EncodeToken(tok); err != nil {
				return err
			}
		}
	}
	if r.query.Flip {
		slices.Reverse(items) // The ends of the page are the same.
	}
	return reply(iq, t, fin(items, page))
}

// maxRequest bounds a request, in tokens. The longest is a query for maxIDs ids,
// or two lists of maxListed addresses.
const maxRequest = 16 << 10

// payload returns a decoder that has read start, and reads on to the end of the
// element: it would not know the end tag otherwise. More than maxRequest tokens are
// a stanza error.
func payload(t xml.TokenReader, start *xml.StartElement) *xml.Decoder {
	inner := xmlstream.InnerElement(t)
	left := maxRequest
	d := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), xmlstream.ReaderFunc(func() (xml.Token, error) {
		if left--; left < 0 {
			return nil, stanzaError(stanza.Modify, stanza.PolicyViolation, "the request is too long")
		}
		return inner.Token()
	})))
	_, _ = d.Token() // It is there.
	return d
}

// errFull ends a page that has become too large.
var errFull = errors.New("mam: page full")

// collect reads a page.
func (h *Handler) collect(ctx context.Context, archive jid.JID, q Query) ([]Item, Page, error) {
	var (
		items []Item
		size  int
	)
	// It is read from the end that has to be there.
	backwards := q.From.Last || q.From.Before != ""
	flip := q.Flip
	q.Flip = backwards
	page, err := h.Archive.Query(ctx, archive, q, func(item Item) error {
		if size += len(item.XML); size > maxPageBytes && len(items) > 0 {
			return errFull
		}
		item.XML = slices.Clone(item.XML)
		items = append(items, item)
		return nil
	})
	switch {
	case errors.Is(err, errFull):
		page = Page{Count: -1, First: -1}
	case err != nil:
		return nil, Page{}, err
	}
	if backwards != flip {
		slices.Reverse(items)
	}
	return items, page, nil
}

// reply answers an IQ.
func reply(iq stanza.IQ, t xmlstream.TokenReadEncoder, payload xml.TokenReader) error {
	_, err := xmlstream.Copy(t, iq.Result(payload))
	return err
}

// refuse answers an IQ with an error.
func (h *Handler) refuse(iq stanza.IQ, t xmlstream.TokenReadEncoder, e stanza.Error) error {
	// What is left of the request must not be taken for the next one.
	_, err := xmlstream.Copy(t, iq.Error(e))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

func (h *Handler) timeout() time.Duration {
	if h.Timeout <= 0 {
		return DefaultTimeout
	}
	return h.Timeout
}

func (h *Handler) pageSize() int    { return orDefault(h.PageSize, DefaultPageSize) }
func (h *Handler) maxPageSize() int { return orDefault(h.MaxPageSize, DefaultMaxPageSize) }

func orDefault(n, otherwise int) int { return cmp.Or(max(n, 0), otherwise) }

func (h *Handler) log(text string, args ...any) {
	if h.Logger != nil {
		h.Logger.Error(text, args...)
	}
}
