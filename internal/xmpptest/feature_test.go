// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

const (
	mechanisms = `<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism></mechanisms>`
	auth       = `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">AGp1bGlldABzZWNyZXQ=</auth>`
	success    = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"></success>`
	failure    = `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized></not-authorized></failure>`
	bind       = `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"></bind>`
	starttls   = `<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"><required></required></starttls>`
)

func TestStockFeatures(t *testing.T) {
	client, server := xmpptest.ClientFeatures(), xmpptest.ServerFeatures()
	xmpptest.RunFeatureTests(t, []xmpptest.FeatureTest{
		{
			Name:    "SASL server",
			Feature: server[0],
			State:   xmpp.Secure | xmpp.Received,
			List:    mechanisms, ListReq: true,
			Parse: mechanisms, ParseReq: true, ParseData: []string{"PLAIN"},
			In: auth, Out: success,
			Mask: xmpp.Authn, Restart: true,
		}, {
			Name:    "SASL client",
			Feature: client[0],
			State:   xmpp.Secure,
			List:    mechanisms, ListReq: true,
			Parse: mechanisms, ParseReq: true, ParseData: []string{"PLAIN"},
			Out: auth, In: success,
			Mask: xmpp.Authn, Restart: true,
		}, {
			Name:    "wrong password, server",
			Feature: server[0],
			State:   xmpp.Secure | xmpp.Received,
			List:    mechanisms, ListReq: true,
			In:  `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">AGp1bGlldAB3cm9uZw==</auth>`,
			Out: failure,
			Err: sasl.ErrAuthn,
		}, {
			Name:    "wrong password, client",
			Feature: client[0],
			State:   xmpp.Secure,
			Parse:   mechanisms, ParseReq: true, ParseData: []string{"PLAIN"},
			Out: auth, In: failure,
			Err: xmpptest.ErrAny,
		}, {
			Name:    "truncated input",
			Feature: client[0],
			State:   xmpp.Secure,
			Parse:   mechanisms, ParseReq: true, ParseData: []string{"PLAIN"},
			Out: auth, In: success[:20],
			Err: xmpptest.ErrAny,
		}, {
			Name:    "bad listing",
			Feature: client[0],
			State:   xmpp.Secure,
			Parse:   "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><a></b></mechanisms>",
			Err:     xmpptest.ErrAny,
		}, {
			Name:    "not before TLS, server",
			Feature: server[0],
			State:   xmpp.Received,
			Skipped: true,
		}, {
			Name:    "not before TLS, server is asked",
			Feature: server[0],
			State:   xmpp.Received,
			In:      auth,
			Skipped: true,
			Err:     stream.PolicyViolation,
		}, {
			Name:    "not before TLS, client",
			Feature: client[0],
			Parse:   mechanisms, ParseReq: true, ParseData: []string{"PLAIN"},
			Skipped: true,
		}, {
			Name:    "not offered",
			Feature: client[0],
			State:   xmpp.Secure,
			Skipped: true,
		}, {
			Name:    "bind client",
			Feature: client[1],
			State:   xmpp.Authn,
			Client:  jid.MustParse("romeo@example.net/o'rchard"),
			List:    bind, ListReq: true,
			Parse: bind, ParseReq: true,
			Dialog: `
				C: <iq xmlns="jabber:client" type="set" id="${id}">
				C: <bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource></resource></bind></iq>
				S: <iq type="result" id="${id}">
				S: <bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>romeo@example.net/garden</jid></bind></iq>
			`,
			Mask: xmpp.Ready,
			Check: func(s *xmpp.Session) error {
				if got := s.LocalAddr().String(); got != "romeo@example.net/garden" {
					return fmt.Errorf("bound %s", got)
				}
				return nil
			},
		}, {
			Name:    "bind server",
			Feature: server[1],
			State:   xmpp.Authn | xmpp.Received,
			List:    bind, ListReq: true,
			In: `<iq type="set" id="1">` + bind + `</iq>`,
			Out: `<iq xmlns="jabber:client" type="result" id="1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind">` +
				`<jid>juliet@example.net/${resource}</jid></bind></iq>`,
			Mask: xmpp.Ready,
		},
	}...)
}

// certificate returns a new certificate for example.net and who trusts it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"example.net"},
		// The clock of a bubble starts in 2000.
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "example.net"}
}

func TestStartTLS(t *testing.T) {
	serverCfg, clientCfg := certificate(t)
	clientSide := func(_ string, conn net.Conn) (net.Conn, error) {
		c := tls.Client(conn, clientCfg)
		return c, c.Handshake()
	}
	serverSide := func(_ string, conn net.Conn) (net.Conn, error) {
		c := tls.Server(conn, serverCfg)
		return c, c.Handshake()
	}
	xmpptest.RunFeatureTests(t,
		xmpptest.FeatureTest{
			Name:    "server",
			Feature: xmpp.StartTLS(serverCfg),
			State:   xmpp.Received,
			List:    starttls, ListReq: true,
			Parse: starttls, ParseReq: true,
			Dialog: `
				C: <starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>
				S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
				-- TLS --
			`,
			Stage: clientSide,
			Mask:  xmpp.Secure, Restart: true,
		},
		xmpptest.FeatureTest{
			Name:    "client",
			Feature: xmpp.StartTLS(clientCfg),
			Parse:   starttls, ParseReq: true,
			Dialog: `
				C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
				S: <proceed xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>
				-- TLS --
			`,
			Stage: serverSide,
			Mask:  xmpp.Secure, Restart: true,
		},
		xmpptest.FeatureTest{
			Name:    "handshake fails",
			Feature: xmpp.StartTLS(&tls.Config{ServerName: "example.org", RootCAs: clientCfg.RootCAs}),
			Parse:   starttls, ParseReq: true,
			Dialog: `
				C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
				S: <proceed xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>
				-- TLS --
			`,
			Stage: func(_ string, conn net.Conn) (net.Conn, error) {
				c := tls.Server(conn, serverCfg)
				if c.Handshake() == nil {
					return nil, errors.New("the client accepts any certificate")
				}
				return c, nil
			},
			Err: xmpptest.ErrAny,
		},
	)
}

const infoNS = "urn:example:info"

// info is an informational feature.
func info() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name: xml.Name{Space: infoNS, Local: "info"},
		List: func(_ context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			if err := e.EncodeToken(start); err != nil {
				return false, err
			}
			return false, e.EncodeToken(start.End())
		},
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			return false, "data", d.Skip()
		},
	}
}

func TestInformationalFeature(t *testing.T) {
	const list = `<info xmlns="urn:example:info"></info>`
	xmpptest.RunFeatureTests(t,
		xmpptest.FeatureTest{Name: "server", Feature: info(), State: xmpp.Received, List: list},
		xmpptest.FeatureTest{
			Name: "client", Feature: info(), Parse: list, ParseData: "data",
			Check: func(s *xmpp.Session) error {
				if data, ok := s.Feature(infoNS); !ok || data != "data" {
					return fmt.Errorf("feature is %v, %t", data, ok)
				}
				return nil
			},
		},
		xmpptest.FeatureTest{
			Name: "server to server", Feature: info(), State: xmpp.S2S, Parse: list, ParseData: "data",
			Client: jid.MustParse("example.org"),
			Check: func(s *xmpp.Session) error {
				if ns := s.In().XMLNS; ns != stanza.NSServer {
					return fmt.Errorf("stream namespace %s", ns)
				}
				return nil
			},
		},
	)
}

var errFeature = errors.New("feature failed")

// The rows that the failing tests are made of; both pass.
func goodRows() map[string]xmpptest.FeatureTest {
	row := xmpptest.FeatureTest{
		List: mechanisms, ListReq: true,
		Parse: mechanisms, ParseReq: true, ParseData: []string{"PLAIN"},
		Mask: xmpp.Authn, Restart: true,
	}
	server, client := row, row
	server.Feature, server.State = xmpptest.ServerFeatures()[0], xmpp.Secure|xmpp.Received
	server.In, server.Out = auth, success
	client.Feature, client.State = xmpptest.ClientFeatures()[0], xmpp.Secure
	client.In, client.Out = success, auth
	return map[string]xmpptest.FeatureTest{"server": server, "client": client}
}

func TestFeatureTestsFail(t *testing.T) {
	type row = xmpptest.FeatureTest
	for _, tc := range []struct {
		name   string
		only   string // role; both if empty
		change func(*row)
		want   string
	}{
		{"other list", "", func(r *row) { r.List = "<a/>" }, "listing differs at byte 1"},
		{"unexpected list", "server", func(r *row) { r.List = "" }, "listing differs at byte 0"},
		{"list not required", "", func(r *row) { r.ListReq = false }, "List says required: true, want false"},
		{"parse not required", "", func(r *row) { r.ParseReq = false }, "Parse says required: true, want false"},
		{"other data", "", func(r *row) { r.ParseData = nil }, `Parse returned data []string{"PLAIN"}, want <nil>`},
		{"other mask", "", func(r *row) { r.Mask = xmpp.Ready }, "Negotiate returned mask Authn, want Ready"},
		{"restart", "", func(r *row) { r.Restart = false }, "Negotiate returned an io.ReadWriter: true, want false"},
		{"other bytes", "", func(r *row) { r.Out = "<other/>" }, "differs at byte 1"},
		{"too few bytes", "server", func(r *row) { r.Out += "<more/>" }, "unexpected EOF"},
		{"too few bytes", "client", func(r *row) { r.Out += "<more/>" }, "the session hung"},
		{"too many bytes", "", func(r *row) { r.Out = "" }, "unexpected bytes behind the dialog"},
		{"no error", "", func(r *row) { r.Err = errFeature }, "no error, want: feature failed"},
		{"not even any error", "", func(r *row) { r.Err = xmpptest.ErrAny }, "no error, want: any error"},
		{"other error of the negotiator", "server", func(r *row) { r.In, r.Err = "<a/>", errFeature }, "error of the negotiator: "},
		{"other error", "client", func(r *row) { r.In, r.Err = failure, errFeature }, "error of Negotiate: "},
		{"unexpected error", "client", func(r *row) { r.In = failure }, "error of Negotiate: "},
		{"negotiated", "", func(r *row) { r.Skipped = true }, "Negotiate was called"},
		{"not negotiated", "server", func(r *row) { r.In, r.Out = "", "" }, "Negotiate was not called: "},
		{"not listed", "client", func(r *row) { r.Parse, r.In, r.Out = "", "", "" }, "Negotiate was not called"},
		{"check", "", func(r *row) { r.Check = func(*xmpp.Session) error { return errFeature } }, "Check: feature failed"},
		{"no List", "server", func(r *row) { r.Feature.List = nil }, "a server calls List, which is nil"},
		{"no List", "client", func(r *row) { r.Feature.List = nil }, "listing differs"},
		{"no Parse", "server", func(r *row) { r.Feature.Parse = nil }, "Parse was not called"},
		{"no Parse", "client", func(r *row) { r.Feature.Parse = nil }, "a client calls Parse, which is nil"},
		{"List fails", "", func(r *row) { r.Feature.List = failingList }, "error of List: feature failed"},
		{"Parse fails", "", func(r *row) { r.Feature.Parse = failingParse }, "error of Parse: feature failed"},
		{"Negotiate fails", "", func(r *row) { r.Feature.Negotiate = failingNegotiate }, "error of Negotiate: feature failed"},
		{"Negotiate hangs", "", func(r *row) { r.Feature.Negotiate = hangingNegotiate }, "the session hung"},
		{"bad dialog", "", func(r *row) { r.In, r.Out, r.Dialog = "", "", "x" }, "bad test: dialog: line 1"},
		{"dialog and In", "", func(r *row) { r.Dialog = "C: x" }, "bad test: both"},
		{"no element to parse", "server", func(r *row) { r.Parse = "x" }, "bad test: Parse"},
		{"no function for stages", "", func(r *row) { r.In, r.Out, r.Dialog = "", "", "-- TLS --" }, "no function for stages"},
	} {
		for role, good := range goodRows() {
			if tc.only != "" && tc.only != role {
				continue
			}
			t.Run(tc.name+"/"+role, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					require.NoError(t, xmpptest.Run(t.Context(), good))
					bad := good
					tc.change(&bad)
					assert.ErrorContains(t, xmpptest.Run(t.Context(), bad), tc.want)
				})
			})
		}
	}
}

func failingList(context.Context, xmlstream.TokenWriter, xml.StartElement) (bool, error) {
	return true, errFeature
}

func failingParse(context.Context, *xml.Decoder, *xml.StartElement) (bool, any, error) {
	return true, nil, errFeature
}

func failingNegotiate(context.Context, *xmpp.Session, any) (xmpp.SessionState, io.ReadWriter, error) {
	return 0, nil, errFeature
}

func hangingNegotiate(ctx context.Context, _ *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
	<-ctx.Done()
	return 0, nil, ctx.Err()
}

func TestFeatureTestsShareTheFeature(t *testing.T) {
	good := goodRows()["client"]
	negotiate := good.Feature.Negotiate
	var calls atomic.Int32
	good.Feature.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		// This feature works only once.
		if calls.Add(1) > 1 {
			return 0, nil, errFeature
		}
		return negotiate(ctx, s, data)
	}
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, xmpptest.Run(t.Context(), good))
		assert.ErrorIs(t, xmpptest.RunConcurrently(t.Context(), good), errFeature)
		assert.Greater(t, calls.Load(), int32(2))
	})
}
