// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"fmt"
	"net"
	"testing"
)

// Component is what a server and a component of it have to know of each other
// (XEP-0114). The domain and the secret are plain ASCII.
type Component struct {
	Domain, Secret string

	// Addr is the host:port that the server listens on for components.
	Addr string
}

// NewComponent returns a component that a server can have, on a port that was free.
func NewComponent(t testing.TB, domain, secret string) Component {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("interop: no port for a component: %v", err)
	}
	defer l.Close()
	return Component{domain, secret, l.Addr().String()}
}

// Prosody returns cfg, for the function Prosody, with the component.
func (c Component) Prosody(cfg Config) Config {
	cfg.Settings += fmt.Sprintf("\ncomponent_ports = { %s }\ncomponent_interfaces = { \"127.0.0.1\" }\n", c.port())
	cfg.Sections += fmt.Sprintf("\nComponent %s\n\tcomponent_secret = %s\n", luaString(c.Domain), luaString(c.Secret))
	return cfg
}

// Ejabberd returns cfg, for the function Ejabberd, with the component.
func (c Component) Ejabberd(cfg Config) Config {
	cfg.Settings += fmt.Sprintf(`
listen:
  - module: ejabberd_service
    ip: "127.0.0.1"
    port: %s
    hosts:
      %q:
        password: %q
`, c.port(), c.Domain, c.Secret)
	return cfg
}

// port returns the port that the server listens on.
func (c Component) port() string {
	_, port, _ := net.SplitHostPort(c.Addr) // It was a listener's.
	return port
}
