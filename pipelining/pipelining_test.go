// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

func TestStreamFeature(t *testing.T) {
	advertised := func(want bool) func(*xmpp.Session) error {
		return func(s *xmpp.Session) error {
			if pipelining.Advertised(s) != want {
				return errors.New("wrong answer from Advertised")
			}
			return nil
		}
	}
	const element = `<pipelining xmlns="urn:xmpp:features:pipelining"></pipelining>`
	feature := pipelining.StreamFeature()
	xmpptest.RunFeatureTests(t,
		xmpptest.FeatureTest{
			Name: "server", Feature: feature, State: xmpp.Received, List: element,
		},
		xmpptest.FeatureTest{
			Name: "server, authenticated", Feature: feature, State: xmpp.Received | xmpp.Secure | xmpp.Authn, List: element,
		},
		xmpptest.FeatureTest{
			Name: "client", Feature: feature, Parse: element, ParseData: true, Check: advertised(true),
		},
		xmpptest.FeatureTest{
			Name: "client, with something inside", Feature: feature, ParseData: true, Check: advertised(true),
			Parse: `<pipelining xmlns='urn:xmpp:features:pipelining'><x xmlns='urn:x'>y</x></pipelining>`,
		},
		xmpptest.FeatureTest{Name: "client, not offered", Feature: feature, Check: advertised(false)},
	)
}

// TestListedAtEveryStage is PL-06.
func TestListedAtEveryStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen strings.Builder
		l := logIn(t, startTLS,
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
				cfg := clientConfig(sasl.Plain)
				cfg.TeeIn = &seen
				return dial(ctx, startTLS, c, juliet, pipelining.Client(pipelining.Plan{}, cfg))
			},
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
				return serve(ctx, startTLS, c, pipelining.Config{})
			})
		require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
		stages := strings.Split(seen.String(), "<stream:features>")[1:]
		require.Len(t, stages, 3)
		for i, stage := range stages {
			features, _, _ := strings.Cut(stage, "</stream:features>")
			assert.Contains(t, features, pipelining.NS, "stage %d", i+1)
		}
		assert.True(t, pipelining.Advertised(l.Client))
	})
}

func TestMode(t *testing.T) {
	assert.Equal(t, "off", pipelining.Off.String())
	assert.Equal(t, "paced", pipelining.Paced.String())
	assert.Equal(t, "full", pipelining.Full.String())
	assert.Equal(t, "Mode(7)", pipelining.Mode(7).String())
}

// TestConfigIsNotChanged lets many sessions share one Negotiator and one Client
// (a data race is a failure), and looks whether what they were given is as before.
func TestConfigIsNotChanged(t *testing.T) {
	mechanisms := []sasl.Mechanism{sasl.ScramSha256, sasl.Plain}
	config := clientTLS()
	config.ServerName = ""
	client := pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, pipelining.ClientConfig{
		TLS: config, Password: password, Mechanisms: mechanisms,
	})
	features := serverFeatures()
	server := pipelining.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: features}
	}, pipelining.Config{})
	synctest.Test(t, func(t *testing.T) {
		done := make(chan *login)
		const sessions = 8
		for range sessions {
			go func() {
				done <- logIn(t, startTLS,
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return dial(ctx, startTLS, c, juliet, client)
					},
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return xmpp.ReceiveSession(ctx, c, 0, server)
					})
			}()
		}
		for range sessions {
			l := <-done
			assert.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
		}
	})
	assert.Empty(t, config.ServerName)
	assert.Equal(t, "SCRAM-SHA-256", mechanisms[0].Name)
}
