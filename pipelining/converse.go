// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
)

const (
	// maxIterations bounds the work that a server may ask a SCRAM client for,
	// which is some seconds; servers ask for ten thousand to a million.
	maxIterations = 5_000_000

	// maxSteps bounds a conversation. The longest known mechanism takes three.
	maxSteps = 16
)

// Authenticator supplies how a client authenticates, so that it can be sent before
// the server has said what it offers.
// A Client of package auth is one, with SASL2, tokens and more mechanisms than
// [ClientConfig] has by itself.
//
// An Authenticator must be safe for concurrent use.
type Authenticator interface {
	// Features returns the stream features that authenticate step by step, one of
	// which is negotiated. They are also parsed where nothing of them is negotiated.
	Features() []xmpp.StreamFeature

	// Ahead begins one attempt, if possible with the mechanism that is named.
	// With sasl2 set, it is by XEP-0388, and otherwise by RFC 6120.
	// The TLS connection of s is verified.
	//
	// Request is one complete element. Last reports that the server's next answer
	// ends it and the stream begins anew behind it, so that what comes then may be
	// sent without waiting. With sasl2 set nothing may (XEP-0388, section 2.5).
	//
	// Answer is called with each element that the server sends in return; d reads on
	// behind start, and need not be read to the element's end.
	// It returns what to send next, if anything. The client is authenticated when
	// mask is not zero: it is Authn. If a resource is bound by it, the session's
	// address must be updated, and Conn.FeaturesFollow be called, or if no features
	// follow, mask be Ready, too.
	// An error is final, unless it has a method TryAgain that returns true: the
	// stream is then as it was before request, and the features are negotiated.
	Ahead(ctx context.Context, s *xmpp.Session, mechanism string, sasl2 bool) (
		request []byte, last bool,
		answer func(d *xml.Decoder, start xml.StartElement) (response []byte, last bool, mask xmpp.SessionState, err error),
		err error)
}

// passwords is the Authenticator that a ClientConfig describes by itself.
type passwords struct{ ClientConfig }

// Features returns the profile of RFC 6120.
func (p passwords) Features() []xmpp.StreamFeature { return []xmpp.StreamFeature{p.sasl()} }

// Ahead begins with the mechanism that is named, or the first that there is.
func (p passwords) Ahead(_ context.Context, s *xmpp.Session, mechanism string, sasl2 bool) (
	[]byte, bool, func(*xml.Decoder, xml.StartElement) ([]byte, bool, xmpp.SessionState, error), error,
) {
	if sasl2 || len(p.Mechanisms) == 0 {
		return nil, false, nil, ErrNoMechanism
	}
	i := slices.IndexFunc(p.Mechanisms, func(m sasl.Mechanism) bool { return m.Name == mechanism })
	x, err := p.converse(s, p.Mechanisms[max(i, 0)], nil)
	if err != nil {
		return nil, false, nil, err
	}
	return x.auth, !x.more, x.answer, nil
}

// A conversation is the client's side of SASL in the profile of RFC 6120.
type conversation struct {
	n     *sasl.Negotiator
	scram bool
	more  bool // the mechanism expects something from the server
	steps int
	auth  []byte // the element to begin with
}

// converse begins a conversation with a server that offers some mechanisms, which
// are nil if it has not said so yet.
// It is the only way by which a password leaves a client.
func (cfg ClientConfig) converse(s *xmpp.Session, m sasl.Mechanism, offered []string) (*conversation, error) {
	if err := cfg.verify(s); err != nil {
		return nil, err
	}
	if offered == nil {
		offered = []string{m.Name}
	}
	user := []byte(s.LocalAddr().Localpart())
	opts := []sasl.Option{
		sasl.Credentials(func() ([]byte, []byte, []byte) { return user, []byte(cfg.Password), []byte(cfg.Identity) }),
		sasl.RemoteMechanisms(offered...),
	}
	if state := s.ConnectionState(); state.Version != 0 {
		opts = append(opts, sasl.TLSState(state))
	}
	x := &conversation{n: sasl.NewClient(m, opts...), scram: strings.HasPrefix(m.Name, "SCRAM-")}
	more, response, err := x.n.Step(nil)
	if err != nil {
		return nil, fmt.Errorf("pipelining: %s: %w", m.Name, err)
	}
	x.more = more
	var b bytes.Buffer
	fmt.Fprintf(&b, `<auth xmlns='%s' mechanism='`, nsSASL)
	_ = xml.EscapeText(&b, []byte(m.Name)) // A Buffer takes everything.
	b.WriteString(`'>` + encode(response) + `</auth>`)
	x.auth = b.Bytes()
	return x, nil
}

// encode encodes data that is there, if only as nothing (RFC 6120 §6.4.2).
func encode(data []byte) string {
	if len(data) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(data)
}

// decode decodes data from the server, in which white space is passed over.
func decode(data string) ([]byte, error) {
	data = strings.Join(strings.Fields(data), "")
	if data == "=" {
		return nil, nil
	}
	return base64.StdEncoding.DecodeString(data)
}

// converse lets answer talk to the server until the client is authenticated.
// Respond sends a response, and is told whether it is presumably the last.
func converse(
	s *xmpp.Session,
	answer func(*xml.Decoder, xml.StartElement) ([]byte, bool, xmpp.SessionState, error),
	respond func(response []byte, last bool) error,
) (xmpp.SessionState, error) {
	r := s.TokenReader()
	defer r.Close()
	for {
		start, d, err := next(r)
		if err != nil {
			return 0, err
		}
		response, last, mask, err := answer(d, start)
		if err != nil {
			if len(response) > 0 {
				_ = respond(response, false) // It is over anyway.
				if c, ok := s.Conn().(*Conn); ok {
					_ = c.Flush() // Nobody will read any more, which would send it.
				}
			}
			return 0, verdict(err)
		}
		// What the answer left unread is not the next element, nor the session's.
		if _, err := xmlstream.Copy(xmlstream.Discard(), d); err != nil || mask != 0 {
			return mask, err
		}
		if err := respond(response, last); err != nil {
			return 0, err
		}
	}
}

// answer answers the server.
func (x *conversation) answer(d *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
	if start.Name.Space != nsSASL {
		return nil, false, 0, unplanned("%s while authenticating", start.Name.Local)
	}
	switch start.Name.Local {
	case "failure":
		return nil, false, 0, readFailure(d, start)
	case "challenge", "success":
	default:
		return nil, false, 0, unplanned("%s while authenticating", start.Name.Local)
	}
	var text string
	if err := d.DecodeElement(&text, &start); err != nil {
		return nil, false, 0, err
	}
	data, err := decode(text)
	if err != nil {
		return nil, false, 0, fmt.Errorf("pipelining: the server's %s: %w", start.Name.Local, err)
	}
	if start.Name.Local == "success" {
		return nil, false, xmpp.Authn, x.finish(data)
	}
	if x.steps++; !x.more || x.steps > maxSteps {
		return nil, false, 0, unplanned("a challenge that is not due")
	}
	more, response, err := x.n.Step(data)
	if err != nil {
		return nil, false, 0, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	x.more = more
	element := `<response xmlns='` + nsSASL + `'>` + encode(response) + `</response>`
	// SCRAM is the one mechanism in use of which it is known.
	return []byte(element), !more || x.scram && x.steps == 1, 0, nil
}

// finish hands the mechanism the data that came with success.
func (x *conversation) finish(data []byte) error {
	if !x.more {
		return nil
	}
	more, _, err := x.n.Step(data)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	case more:
		return ErrUnproven
	}
	return nil
}

func readFailure(d *xml.Decoder, start xml.StartElement) error {
	failure := struct {
		Text       string `xml:"urn:ietf:params:xml:ns:xmpp-sasl text"`
		Conditions []struct {
			XMLName xml.Name
		} `xml:",any"`
	}{}
	if err := d.DecodeElement(&failure, &start); err != nil {
		return err
	}
	e := AuthError{Text: failure.Text}
	for _, c := range failure.Conditions {
		if c.XMLName.Space == nsSASL {
			e.Condition = c.XMLName.Local
			break
		}
	}
	return e
}

// sasl returns a stream feature that authenticates step by step.
func (cfg ClientConfig) sasl() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:       xml.Name{Space: nsSASL, Local: "mechanisms"},
		Necessary:  xmpp.Secure,
		Prohibited: xmpp.Authn,
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			offer := struct {
				Names []string `xml:"urn:ietf:params:xml:ns:xmpp-sasl mechanism"`
			}{}
			err := d.DecodeElement(&offer, start)
			return true, offer.Names, err
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
			offered, _ := data.([]string)
			i := slices.IndexFunc(cfg.Mechanisms, func(m sasl.Mechanism) bool { return slices.Contains(offered, m.Name) })
			if i < 0 {
				return 0, nil, fmt.Errorf("%w: the server offers %q", ErrNoMechanism, offered)
			}
			x, err := cfg.converse(s, cfg.Mechanisms[i], offered)
			if err != nil {
				return 0, nil, err
			}
			if _, err := s.Conn().Write(x.auth); err != nil {
				return 0, nil, err
			}
			_, err = converse(s, x.answer, func(response []byte, _ bool) error {
				_, err := s.Conn().Write(response)
				return err
			})
			return xmpp.Authn, s.Conn(), err
		},
	}
}

// guarded returns m as it is safe against the server.
//
// Sasl v0.3.2 never returns from a SCRAM challenge that ends in a field shorter
// than three bytes, and works for as many iterations as it is told to.
func guarded(m sasl.Mechanism) sasl.Mechanism {
	if !strings.HasPrefix(m.Name, "SCRAM-") {
		return m
	}
	step := m.Next
	m.Next = func(n *sasl.Negotiator, challenge []byte, data any) (bool, []byte, any, error) {
		if n.State()&sasl.StepMask == sasl.AuthTextSent {
			if err := checkSCRAM(string(challenge)); err != nil {
				return false, nil, nil, err
			}
		}
		return step(n, challenge, data)
	}
	return m
}

func checkSCRAM(challenge string) error {
	for field := range strings.SplitSeq(challenge, ",") {
		if len(field) < 3 || field[1] != '=' {
			return errors.New("malformed SCRAM challenge")
		}
		if field[0] != 'i' {
			continue
		}
		if i, err := strconv.Atoi(field[2:]); err != nil || i < 1 || i > maxIterations {
			return errors.New("SCRAM iteration count out of bounds")
		}
	}
	return nil
}
