// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// errNegotiated ends the session when the feature has been negotiated.
var errNegotiated = errors.New("xmpptest: negotiated")

// featureRun is one session of a [FeatureTest] and what the feature did in it.
type featureRun struct {
	FeatureTest

	listed   bool // List was called
	listReq  bool
	parsed   bool // Parse was called
	req      bool
	data     any
	called   bool // Negotiate was called
	mask     xmpp.SessionState
	restart  bool
	step     string // where err is from
	err      error  // the feature's error
	features string // what was listed by the session
	problems []error
}

// run runs one session and returns all that was wrong with it.
func (tc FeatureTest) run(ctx context.Context) error {
	r := &featureRun{FeatureTest: tc}
	cfg := PairConfig{Location: tc.Location, Client: tc.Client}.withDefaults()
	r.Location, r.Client = cfg.Location, cfg.Client
	r.session(ctx)
	return errors.Join(r.problems...)
}

// runConcurrently runs several sessions and returns what was wrong with any.
func (tc FeatureTest) runConcurrently(ctx context.Context) error {
	errs := make([]error, concurrentSessions)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = tc.run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *featureRun) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

func (r *featureRun) session(ctx context.Context) {
	dialog, err := r.dialog()
	if err != nil {
		r.problem("bad test: %w", err)
		return
	}
	switch {
	case r.server() && r.Feature.List == nil:
		r.problem("a server calls List, which is nil")
		return
	case !r.server() && r.Parse != "" && r.Feature.Parse == nil:
		r.problem("a client calls Parse, which is nil")
		return
	}

	ctx, cancel := context.WithTimeout(ctx, pairTimeout)
	defer cancel()
	link := NewLink(LinkConfig{})
	stop := context.AfterFunc(ctx, func() { _ = link.Close() })

	var said error
	var wg sync.WaitGroup
	wg.Go(func() { said = r.speak(link.B, dialog) })
	s, err := r.negotiate(ctx, link.A)
	_ = link.A.Close()
	wg.Wait()
	stop()
	if ctx.Err() != nil {
		r.problem("the session hung")
	}

	r.direct(ctx)
	r.checkErr(err)
	if said != nil {
		r.problem("%w", said)
		if err != nil && !errors.Is(err, errNegotiated) {
			r.problem("the session ended with: %w", err)
		}
	}
	r.checkListing()
	if r.called && r.err == nil {
		if r.mask != r.Mask {
			r.problem("Negotiate returned mask %v, want %v", r.mask, r.Mask)
		}
		if r.restart != r.Restart {
			r.problem("Negotiate returned an io.ReadWriter: %t, want %t", r.restart, r.Restart)
		}
	}
	if r.Check != nil && r.Err == nil && len(r.problems) == 0 {
		if err := r.Check(s); err != nil {
			r.problem("Check: %w", err)
		}
	}
}

// negotiate runs the feature's end.
func (r *featureRun) negotiate(ctx context.Context, conn net.Conn) (*xmpp.Session, error) {
	negotiator := Stock(r.watch())
	if r.server() {
		return xmpp.ReceiveSession(ctx, conn, r.State, negotiator)
	}
	return xmpp.NewSession(ctx, r.Location, r.Client, conn, r.State, negotiator)
}

// watch returns the feature, changed so that the run learns what it does and the
// session ends behind it.
func (r *featureRun) watch() xmpp.StreamFeature {
	f := r.Feature
	if list := f.List; list != nil {
		f.List = func(ctx context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			req, err := list(ctx, e, start)
			r.listed, r.listReq = true, req
			r.failed("List", err)
			return req, err
		}
	}
	if parse := f.Parse; parse != nil {
		f.Parse = func(ctx context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			req, data, err := parse(ctx, d, start)
			r.parsed, r.req, r.data = true, req, data
			r.failed("Parse", err)
			return req, data, err
		}
	}
	if negotiate := f.Negotiate; negotiate != nil {
		f.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
			mask, rw, err := negotiate(ctx, s, data)
			if tls, ok := rw.(handshaker); ok && err == nil {
				// Nobody will read or write, which would start the handshake.
				err = tls.HandshakeContext(ctx)
			}
			r.called, r.mask, r.restart = true, mask, rw != nil
			r.failed("Negotiate", err)
			// An error without an io.ReadWriter would not end the negotiation if the
			// feature is optional.
			return 0, s.Conn(), errNegotiated
		}
	}
	return f
}

// handshaker is implemented by *tls.Conn.
type handshaker interface {
	HandshakeContext(ctx context.Context) error
}

func (r *featureRun) failed(step string, err error) {
	if err != nil && r.err == nil {
		r.step, r.err = step, err
	}
}

// direct calls the functions that the role does not.
func (r *featureRun) direct(ctx context.Context) {
	f := r.watch()
	if !r.server() && r.List != "" && f.List != nil {
		var buf bytes.Buffer
		e := xml.NewEncoder(&buf)
		_, err := f.List(ctx, e, xml.StartElement{Name: f.Name})
		if err == nil {
			r.failed("List", e.Flush())
		}
		r.features = buf.String()
	}
	if r.server() && r.Parse != "" && f.Parse != nil {
		d := xml.NewDecoder(strings.NewReader(r.Parse))
		tok, err := d.Token()
		start, ok := tok.(xml.StartElement)
		if err != nil || !ok {
			r.problem("bad test: Parse does not begin with an element")
			return
		}
		_, _, _ = f.Parse(ctx, d, &start)
	}
}

// checkErr checks the feature's error or, without one, that of the session.
func (r *featureRun) checkErr(session error) {
	if errors.Is(session, errNegotiated) {
		session = nil
	}
	err, step := r.err, r.step
	if err == nil {
		err, step = session, "the negotiator"
	}
	call := r.Feature.Negotiate != nil && !r.Skipped
	switch {
	case r.called && !call:
		r.problem("Negotiate was called")
	case r.Err != nil && err == nil:
		r.problem("no error, want: %w", r.Err)
	case r.Err != nil && r.Err != ErrAny && !errors.Is(err, r.Err):
		r.problem("error of %s: %w, want: %w", step, err, r.Err)
	case r.Err != nil:
	case r.err != nil:
		r.problem("error of %s: %w", step, err)
	case !r.called && call && err == nil:
		r.problem("Negotiate was not called")
	case !r.called && call:
		r.problem("Negotiate was not called: %w", err)
	}
}

// checkListing checks what was listed and parsed.
func (r *featureRun) checkListing() {
	if r.err != nil && r.step != "Negotiate" {
		return
	}
	if r.server() || r.List != "" {
		if err := matchText(r.List, r.features, map[string]string{}); err != nil {
			r.problem("listing %w", err)
		}
		if r.listed && r.listReq != r.ListReq {
			r.problem("List says required: %t, want %t", r.listReq, r.ListReq)
		}
	}
	if r.Parse == "" {
		return
	}
	if !r.parsed {
		r.problem("Parse was not called")
		return
	}
	if r.req != r.ParseReq {
		r.problem("Parse says required: %t, want %t", r.req, r.ParseReq)
	}
	if !reflect.DeepEqual(r.data, r.ParseData) {
		r.problem("Parse returned data %#v, want %#v", r.data, r.ParseData)
	}
}

// speak is the other end.
func (r *featureRun) speak(conn net.Conn, dialog Transcript) error {
	player := Player{Side: Client, Stage: r.Stage}
	var err error
	if r.server() {
		err = r.openAsClient(conn)
	} else {
		player.Side = Server
		err = r.openAsServer(conn)
	}
	if err == nil {
		err = player.Play(conn, dialog)
	}
	_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	rest, restErr := io.ReadAll(conn)
	staged := slices.ContainsFunc(dialog, func(l Line) bool { return l.Kind == Stage })
	if err == nil && restErr == nil && len(rest) > 0 && !staged {
		err = fmt.Errorf("unexpected bytes behind the dialog: %s", clip(rest))
	}
	return err
}

const featuresStart, featuresEnd = "<stream:features>", "</stream:features>"

// openAsClient sends a header and reads what the session lists.
func (r *featureRun) openAsClient(conn net.Conn) error {
	if _, err := io.WriteString(conn, r.header(r.Client, r.Location)); err != nil {
		return err
	}
	got, err := readUntil(conn, featuresEnd)
	if err != nil {
		return fmt.Errorf("no list of features: %w: %s", err, got)
	}
	_, list, _ := strings.Cut(got, featuresStart)
	r.features = strings.TrimSuffix(list, featuresEnd)
	return nil
}

// openAsServer reads a header, sends one and lists the feature.
func (r *featureRun) openAsServer(conn net.Conn) error {
	for _, until := range []string{"<stream:stream", ">"} {
		if got, err := readUntil(conn, until); err != nil {
			return fmt.Errorf("no stream header: %w: %s", err, got)
		}
	}
	_, err := io.WriteString(conn, r.header(r.Location, r.Client)+featuresStart+r.Parse+featuresEnd)
	return err
}

// header returns a stream header.
func (r *featureRun) header(from, to jid.JID) string {
	ns := stanza.NSClient
	if r.State&xmpp.S2S != 0 {
		ns = stanza.NSServer
	}
	return fmt.Sprintf(`<stream:stream id='s1' from='%s' to='%s' version='1.0' xmlns='%s' xmlns:stream='%s'>`,
		escapeXML(from.String()), escapeXML(to.String()), ns, stream.NS)
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// readUntil reads up to the end of a text, not further.
func readUntil(r io.Reader, text string) (got string, err error) {
	b := make([]byte, 1)
	for !strings.HasSuffix(got, text) {
		if _, err := io.ReadFull(r, b); err != nil {
			return got, err
		}
		got += string(b)
	}
	return got, nil
}
