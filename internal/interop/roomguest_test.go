// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/interop"
)

// A roomService is examples/mucroom, running.
type roomService struct {
	path string
	args []string
	cmd  *exec.Cmd
	log  *bufio.Reader
}

// serveRooms builds and starts it. It ends with the test.
func serveRooms(t *testing.T, c interop.Component, args ...string) *roomService {
	t.Helper()
	p := &roomService{
		path: filepath.Join(t.TempDir(), "mucroom"),
		args: append([]string{"-server", c.Addr, "-domain", c.Domain, "-secret", c.Secret}, args...),
	}
	build := exec.CommandContext(t.Context(), "go", "-C", filepath.Join("..", "..", "examples"), "build", "-buildvcs=false", "-o", p.path, "./mucroom")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	p.start(t)
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.stop(t)
		}
	})
	return p
}

// start starts it, and waits until it is attached.
func (p *roomService) start(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(p.path, p.args...)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	p.log = bufio.NewReader(stderr)
	line, err := p.log.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "mucroom: attached as "+roomsDomain+"\n", line)
}

// stop ends it as Ctrl-C does. It has nothing to say then.
func (p *roomService) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(p.log)
	require.NoError(t, err)
	require.NoError(t, p.cmd.Wait())
	require.Empty(t, string(rest))
}

// A guest is a client of a room that writes and reads stanzas as they are.
type guest struct {
	conn    net.Conn
	session *xmpp.Session

	host bool // it welcomes others

	mu   sync.Mutex
	all  []roomStanza
	seen int // of all, what was expected
	more chan struct{}
}

// roomStanza is one that a room has sent.
type roomStanza struct {
	XMLName xml.Name
	From    string `xml:"from,attr"`
	Type    string `xml:"type,attr"`
	X       *struct {
		Item struct {
			Affiliation string `xml:"affiliation,attr"`
			Role        string `xml:"role,attr"`
		} `xml:"item"`
		Status []struct {
			Code string `xml:"code,attr"`
		} `xml:"status"`
	} `xml:"http://jabber.org/protocol/muc#user x"`
	Session struct {
		Session string `xml:"session,attr"`
		ID      string `xml:"id,attr"`
		Type    string `xml:"type,attr"`
	} `xml:"urn:xmpp:presence-session:0 presence-session"`
	Show    string  `xml:"show"`
	Body    string  `xml:"body"`
	Subject *string `xml:"subject"`
}

// resume returns what asks for what has changed since.
func (s roomStanza) resume() string {
	return fmt.Sprintf(`session="%s" id="%s" type="resume"`, s.Session.Session, s.Session.ID)
}

// String says in short what it is.
func (s roomStanza) String() string {
	said := s.XMLName.Local + " from " + s.From
	switch {
	case s.XMLName.Local == "presence":
		kind := s.Type
		if kind == "" {
			kind = "available"
		}
		said += fmt.Sprintf(" %q %s", s.Show, kind)
	case s.Subject != nil:
		said += fmt.Sprintf(" subject %q", *s.Subject)
	default:
		said += fmt.Sprintf(" says %q", s.Body)
	}
	if s.X != nil && s.XMLName.Local == "presence" {
		said += " " + s.X.Item.Affiliation + "/" + s.X.Item.Role
		for _, one := range s.X.Status {
			said += " " + one.Code
		}
	}
	if s.Session.Type != "" {
		said += " " + s.Session.Type
	}
	return said
}

// logIn returns a client that has logged in, and that is served or listens next.
func logIn(t *testing.T, server *interop.Server, user, password string) *guest {
	t.Helper()
	account, err := jid.New(user, server.Domain, "")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", server.STARTTLS)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	session, err := xmpp.NewClientSession(ctx, account, conn,
		xmpp.StartTLS(&tls.Config{RootCAs: server.Roots, ServerName: server.Domain}),
		xmpp.SASL("", password, sasl.ScramSha256), xmpp.BindResource())
	require.NoError(t, err)
	g := &guest{conn: conn, session: session, more: make(chan struct{}, 1)}
	g.say(t, "<presence/>")
	return g
}

// serve serves the session by a handler, until the connection ends.
func (g *guest) serve(h xmpp.Handler) {
	go func() { _ = g.session.Serve(h) }()
}

// listen keeps what rooms send, until the connection ends.
func (g *guest) listen() {
	go func() {
		r := g.session.TokenReader()
		defer r.Close()
		for {
			t, err := r.Token()
			if err != nil {
				return
			}
			start, ok := t.(xml.StartElement)
			if !ok {
				continue
			}
			var s roomStanza
			if xml.NewTokenDecoder(xmlstream.Wrap(xmlstream.Inner(r), start)).Decode(&s) != nil {
				return
			}
			if strings.HasPrefix(s.From, cave) && stanza.Is(start.Name, stanza.NSClient) && start.Name.Local != "iq" {
				g.mu.Lock()
				g.all = append(g.all, s)
				g.mu.Unlock()
				if g.host && g.write(s.answer()) != nil {
					return
				}
				select {
				case g.more <- struct{}{}:
				default:
				}
			}
		}
	}()
}

// answer returns what a visitor is told (see visit), or nothing.
func (s roomStanza) answer() string {
	_, nick, _ := strings.Cut(s.From, "/")
	switch {
	case s.Type == "groupchat" && s.Body == "hello from "+nick:
		return `<message type="groupchat" to="` + cave + `"><body>welcome ` + nick + `</body></message>`
	case s.Type == "chat" && s.Body == "psst":
		return `<message type="chat" to="` + s.From + `"><body>psst to you</body></message>`
	}
	return ""
}

// write writes stanzas.
func (g *guest) write(text string) error {
	if text == "" {
		return nil
	}
	w := g.session.TokenWriter()
	defer w.Close()
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(g.session.Conn(), text)
	return err
}

// say sends stanzas.
func (g *guest) say(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, g.write(text))
}

// enter enters the cave, with attributes for what it knows.
func (g *guest) enter(t *testing.T, nick, known string) {
	t.Helper()
	g.say(t, `<presence to="`+cave+`/`+nick+`"><x xmlns="http://jabber.org/protocol/muc"/>`+
		`<presence-session xmlns="urn:xmpp:presence-session:0" `+known+`/></presence>`)
}

// expect waits for a stanza behind the one that was expected last, and returns it.
func (g *guest) expect(t *testing.T, want string) roomStanza {
	t.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		g.mu.Lock()
		for ; g.seen < len(g.all); g.seen++ {
			if s := g.all[g.seen]; s.String() == want {
				g.seen++
				g.mu.Unlock()
				return s
			}
		}
		g.mu.Unlock()
		select {
		case <-g.more:
		case <-late.C:
			require.Fail(t, "it did not come", "%s\n%s", want, strings.Join(g.heard(), "\n"))
		}
	}
}

// heard returns all that was received.
func (g *guest) heard() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.all {
		all = append(all, s.String())
	}
	return all
}

// forget forgets it.
func (g *guest) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all, g.seen = nil, 0
}

// last returns the last one that is annotated.
func (g *guest) last(t *testing.T) roomStanza {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.all) - 1; i >= 0; i-- {
		if g.all[i].Session.ID != "" {
			return g.all[i]
		}
	}
	require.Fail(t, "nothing is annotated")
	return roomStanza{}
}

// makeRoom makes the cave, and welcomes everybody who says hello there.
func (g *guest) makeRoom(t *testing.T) {
	t.Helper()
	g.host = true
	g.listen()
	g.enter(t, "crone", "")
	g.expect(t, `presence from cave@rooms.example/crone "" available owner/moderator 110 201`)
	g.say(t, `<iq type="set" to="`+cave+`" id="own"><query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit"/></query></iq>`)
	g.say(t, `<message type="groupchat" to="`+cave+`"><subject>Brew</subject></message>`)
	g.expect(t, `message from cave@rooms.example/crone subject "Brew"`)
}

// expectVisit waits for all that somebody does in a visit.
func (g *guest) expectVisit(t *testing.T, nick, newNick string) {
	t.Helper()
	const from = "from " + cave + "/"
	g.expect(t, `presence `+from+nick+` "" available none/participant`)
	g.expect(t, `message `+from+nick+` says "hello from `+nick+`"`)
	g.expect(t, `message `+from+nick+` says "psst"`)
	g.expect(t, `presence `+from+nick+` "" unavailable none/participant 303`)
	g.expect(t, `presence `+from+newNick+` "" available none/participant`)
	g.expect(t, `presence `+from+newNick+` "" unavailable none/none`)
}
