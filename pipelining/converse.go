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
	"mellium.im/xmpp"
)

const (
	// maxIterations bounds the work that a server may ask a SCRAM client for,
	// which is some seconds; servers ask for ten thousand to a million.
	maxIterations = 5_000_000

	// maxSteps bounds a conversation. The longest known mechanism takes three.
	maxSteps = 16
)

// A conversation is the client's side of SASL in the profile of RFC 6120.
type conversation struct {
	n     *sasl.Negotiator
	scram bool
	more  bool // the mechanism expects something from the server
	steps int
	auth  []byte // the element to begin with
}

// converse begins a conversation with a server that offers some mechanisms.
// It is the only way by which credentials leave a client.
func (cfg ClientConfig) converse(s *xmpp.Session, m sasl.Mechanism, offered []string) (*conversation, error) {
	if err := cfg.verify(s); err != nil {
		return nil, err
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

// run answers the server until it has accepted. Respond sends a response and
// is told whether it is presumably the last.
func (x *conversation) run(s *xmpp.Session, respond func(response []byte, last bool) error) error {
	r := s.TokenReader()
	defer r.Close()
	for {
		start, d, err := next(r)
		if err != nil {
			return err
		}
		if start.Name.Space != nsSASL {
			return unplanned("%s while authenticating", start.Name.Local)
		}
		switch start.Name.Local {
		case "failure":
			return readFailure(d, start)
		case "challenge", "success":
		default:
			return unplanned("%s while authenticating", start.Name.Local)
		}
		var text string
		if err := d.DecodeElement(&text, &start); err != nil {
			return err
		}
		data, err := decode(text)
		if err != nil {
			return fmt.Errorf("pipelining: the server's %s: %w", start.Name.Local, err)
		}
		if start.Name.Local == "success" {
			return x.finish(data)
		}
		if x.steps++; !x.more || x.steps > maxSteps {
			return unplanned("a challenge that is not due")
		}
		more, response, err := x.n.Step(data)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnproven, err)
		}
		x.more = more
		element := `<response xmlns='` + nsSASL + `'>` + encode(response) + `</response>`
		// SCRAM is the one mechanism in use of which it is known.
		if err := respond([]byte(element), !more || x.scram && x.steps == 1); err != nil {
			return err
		}
	}
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
			err = x.run(s, func(response []byte, _ bool) error {
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
