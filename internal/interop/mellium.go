// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"sync"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

// Mellium returns the client in mellium.im/xmpp as it is without our packages.
// It runs in the process of the test, so nothing needs to switch it on.
func Mellium() *Client { return &Client{Name: "mellium", login: melliumLogins} }

func melliumLogins(ctx context.Context, l ClientLogin) (results []LoginResult, log string, err error) {
	account, err := jid.Parse(l.JID)
	if err != nil {
		return nil, "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(l.RootsPEM) {
		return nil, "", errors.New("no certificate to trust")
	}
	trace := &trace{}
	for range l.Times {
		login := &melliumLogin{
			ClientLogin: l,
			account:     account,
			tls:         &tls.Config{RootCAs: roots, ServerName: account.Domainpart()},
			trace:       trace,
		}
		if err := login.do(ctx); err != nil {
			login.result.Error = err.Error()
		}
		results = append(results, login.result)
		if login.result.Error != "" {
			break
		}
	}
	return results, trace.String(), nil
}

// melliumLogin is one login.
type melliumLogin struct {
	ClientLogin
	account jid.JID
	tls     *tls.Config
	trace   *trace
	result  LoginResult
}

// failureCondition matches the beginning of a failure. There is no other way to
// get at the condition if the server has sent a text with it.
var failureCondition = regexp.MustCompile(`<failure\b[^>]*>\s*<([a-z-]+)`)

func (l *melliumLogin) do(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if l.DirectTLS {
		conn = tls.Client(conn, l.tls)
	}
	var received bytes.Buffer
	session, err := xmpp.NewSession(ctx, l.account.Domain(), l.account, conn, 0, xmpp.NewNegotiator(
		func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{
				Features: []xmpp.StreamFeature{
					xmpp.StartTLS(l.tls),
					xmpp.SASL("", l.Password, l.mechanisms()...),
					xmpp.BindResource(),
				},
				TeeIn:  io.MultiWriter(&received, l.trace.writer("S: ")),
				TeeOut: l.trace.writer("C: "),
			}
		}))
	if err != nil {
		if failure := failureCondition.FindSubmatch(received.Bytes()); failure != nil {
			l.result.Condition = string(failure[1])
		}
		return err
	}
	l.result.JID = session.LocalAddr().String()

	archive := &melliumArchive{session: session}
	served := make(chan error, 1)
	go func() { served <- session.Serve(mux.New(stanza.NSClient, archive.handle())) }()
	ping := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:ping", Local: "ping"}})
	err = session.UnmarshalIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: l.account.Domain()}.Wrap(ping), nil)
	if errors.As(err, new(stanza.Error)) {
		err = nil // that is an answer too
	}
	for _, q := range l.Queries {
		if err != nil {
			break
		}
		var messages []ArchiveMessage
		messages, err = archive.ask(ctx, q)
		l.result.Archive = append(l.result.Archive, messages)
	}
	return errors.Join(err, session.Close(), <-served)
}

// mechanisms returns those that may be used. They say which one is.
func (l *melliumLogin) mechanisms() []sasl.Mechanism {
	mechanisms := []sasl.Mechanism{sasl.ScramSha256Plus, sasl.ScramSha1Plus, sasl.ScramSha256, sasl.ScramSha1, sasl.Plain}
	if l.Mechanism != "" {
		mechanisms = slices.DeleteFunc(mechanisms, func(m sasl.Mechanism) bool { return m.Name != l.Mechanism })
	}
	for i, m := range mechanisms {
		mechanisms[i].Start = func(n *sasl.Negotiator) (bool, []byte, any, error) {
			l.result.Mechanism = m.Name
			return m.Start(n)
		}
	}
	return mechanisms
}

// trace keeps what is said in both directions.
type trace struct {
	mu  sync.Mutex
	log bytes.Buffer
}

// writer returns a writer that notes what is written after prefix.
func (t *trace) writer(prefix string) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		fmt.Fprintf(&t.log, "%s%s\n", prefix, p)
		return len(p), nil
	})
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.log.String()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
