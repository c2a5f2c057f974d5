// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"crypto/tls"
	"crypto/x509"
	"slices"

	"github.com/xdg-go/scram"
)

const (
	bindExporter = string(scram.ChannelBindingTLSExporter)
	bindUnique   = string(scram.ChannelBindingTLSUnique)
	bindEndPoint = string(scram.ChannelBindingTLSServerEndpoint)
)

// bindingsOf returns the channel bindings that a connection has, best first.
// Leaf is the server's certificate.
func bindingsOf(state *tls.ConnectionState, leaf *x509.Certificate) []scram.ChannelBinding {
	if state == nil || !state.HandshakeComplete {
		return nil
	}
	var list []scram.ChannelBinding
	if state.Version >= tls.VersionTLS13 {
		// Before TLS 1.3 the exporter is only unique with an extension, and what its
		// empty context means differs among implementations.
		if b, err := scram.NewTLSExporterBinding(state); err == nil {
			list = append(list, b)
		}
	} else if len(state.TLSUnique) > 0 {
		list = append(list, scram.NewTLSUniqueBinding(state.TLSUnique))
	}
	if leaf != nil {
		// Some kinds of certificates have no hash to go by (RFC 5929, section 4.1).
		if b, err := scram.NewTLSServerEndpointBinding(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}); err == nil {
			list = append(list, b)
		}
	}
	return list
}

// clientBindings returns the channel bindings of a client's connection.
func clientBindings(state *tls.ConnectionState) []scram.ChannelBinding {
	if state == nil || len(state.PeerCertificates) == 0 {
		return bindingsOf(state, nil)
	}
	return bindingsOf(state, state.PeerCertificates[0])
}

// pick returns the binding of a type.
func pick(list []scram.ChannelBinding, kind string) (scram.ChannelBinding, bool) {
	i := slices.IndexFunc(list, func(b scram.ChannelBinding) bool { return string(b.Type) == kind })
	if i < 0 {
		return scram.ChannelBinding{}, false
	}
	return list[i], true
}

// kinds returns the types of bindings.
func kinds(list []scram.ChannelBinding) []string {
	var names []string
	for _, b := range list {
		names = append(names, string(b.Type))
	}
	return names
}
