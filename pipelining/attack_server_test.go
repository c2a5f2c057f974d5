// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/pipelining"
)

// An attack is what a peer sends in one write and what it must get for it.
type attack struct {
	name    string
	host    host
	say     string
	heard   string
	decided []string
	err     error
}

func (a attack) run(t *testing.T) {
	t.Run(a.name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := a.host.visit(t, func(p *peer) { p.say(a.say) })
			assert.Equal(t, a.heard, v.Heard)
			assert.Equal(t, a.decided, v.Decided)
			require.Error(t, v.Err)
			if a.err != nil {
				assert.ErrorIs(t, v.Err, a.err)
			}
			assert.Zero(t, v.Session.State()&ready)
		})
	})
}

// clientFirst is the first message of SCRAM as a client sends it.
func clientFirst() string {
	x := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() ([]byte, []byte, []byte) {
		return []byte("juliet"), []byte(password), nil
	}))
	_, message, _ := x.Step(nil)
	return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>` + base64Of(message) + `</auth>`
}

func TestAttackStartTLS(t *testing.T) {
	before := headed + listsTLS + proceed
	for _, behind := range []struct{ name, say string }{
		{"AP-01 plaintext auth behind starttls", authPlain("juliet", password)},
		{"AP-01 plaintext login behind starttls", logInPlain()},
		{"AP-01 plaintext header behind starttls", opening},
		{"AP-01 closing tag behind starttls", closing},
	} {
		attack{
			name: behind.name, host: host{transport: startTLS},
			say: opening + startTag + behind.say, heard: before,
		}.run(t)
	}
	for name, gap := range map[string]string{"newline": "\n", "space": " ", "two": "\r\n"} {
		t.Run("AP-02 "+name+" between starttls and ClientHello", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{transport: startTLS}.visit(t, func(p *peer) {
					c := tls.Client(&behind{peer: p, prefix: opening + startTag + gap}, clientTLS())
					require.Error(t, c.Handshake())
				})
				require.ErrorAs(t, v.Err, new(tls.RecordHeaderError))
				assert.Empty(t, v.Decided)
				assert.NotContains(t, v.Heard, "mechanisms")
			})
		})
	}
	for name, gap := range map[string]string{"newline": "\n", "most": strings.Repeat(" ", 16)} {
		t.Run("AP-02 "+name+" between starttls and ClientHello, allowed", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{transport: startTLS, cfg: pipelining.Config{AllowSpace: true}}.visit(t, func(p *peer) {
					require.NoError(t, p.startTLS(opening+startTag+gap, tls.VersionTLS13))
					p.say(logInPlain())
					p.until("</iq>")
				})
				require.NoError(t, v.Err)
			})
		})
	}
	for name, gap := range map[string]string{"too much": strings.Repeat(" ", 17), "text": "\nx", "XML": "\n" + authPlain("juliet", password)} {
		t.Run("AP-02 "+name+" between starttls and ClientHello, space allowed", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{transport: startTLS, cfg: pipelining.Config{AllowSpace: true}}.visit(t, func(p *peer) {
					c := tls.Client(&behind{peer: p, prefix: opening + startTag + gap}, clientTLS())
					require.Error(t, c.Handshake())
				})
				require.ErrorAs(t, v.Err, new(tls.RecordHeaderError))
				assert.Empty(t, v.Decided)
			})
		})
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tag := range []string{
			startTag,
			`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>`,
			`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls' ></starttls >`,
			`<t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'></t:starttls>`,
			"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>\n</starttls>",
		} {
			t.Run("AP-03 "+tls.VersionName(version)+" "+tag, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := host{transport: startTLS}.visit(t, func(p *peer) {
						require.NoError(t, p.startTLS(opening+tag, version))
						p.say(logInPlain())
						p.until("</iq>")
					})
					require.NoError(t, v.Err)
					assert.Equal(t, headed+listsSASL+success+headedTo("juliet@im.example.com")+listsBind+bound, v.Heard)
				})
			})
		}
	}
	t.Run("AP-05 a server without STARTTLS drops the ClientHello", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) {
				c := tls.Client(&behind{peer: p, prefix: opening + startTag, mark: closing}, clientTLS())
				assert.Error(t, c.Handshake())
			})
			require.ErrorIs(t, v.Err, stream.PolicyViolation)
			assert.Equal(t, headed+listsSASL+ends("policy-violation"), v.Heard)
			assert.Empty(t, v.Decided)
		})
	})
	attack{
		name: "AP-14 iq before TLS", host: host{transport: startTLS},
		say: opening + askBind, heard: headed + listsTLS + ends("not-authorized"),
	}.run(t)
	attack{
		name: "AP-14 auth before TLS", host: host{transport: startTLS},
		say: opening + authPlain("juliet", password), heard: headed + listsTLS + ends("policy-violation"),
	}.run(t)
}

func TestAttackAuth(t *testing.T) {
	offered := headed + listsSASL
	juliet := "juliet@im.example.com"
	loggedIn := offered + success
	for _, a := range []attack{
		{
			name:  "AP-06 failing auth with header and bind behind",
			say:   opening + authPlain("juliet", "wrong") + opening + askBind,
			heard: offered + notAuthorized + ends("not-authorized"), decided: []string{"turn away juliet"},
			err: sasl.ErrAuthn,
		},
		{
			name:  "AP-06 failing auth with a good one, header and bind behind",
			say:   opening + authPlain("juliet", "wrong") + authPlain("juliet", password) + opening + askBind,
			heard: offered + notAuthorized + ends("not-authorized"), decided: []string{"turn away juliet"},
			err: sasl.ErrAuthn,
		},
		{
			name:  "AP-06 unknown mechanism with header and bind behind",
			say:   opening + strings.Replace(authPlain("juliet", password), "PLAIN", "GSSAPI", 1) + opening + askBind,
			heard: offered + strings.ReplaceAll(notAuthorized, "not-authorized", "invalid-mechanism") + ends("not-authorized"),
		},
		{
			name:  "AP-07 header to another host behind auth",
			say:   opening + authPlain("juliet", password) + strings.Replace(opening, "im.example.com", "verona.example", 1) + askBind,
			heard: loggedIn + refused("im.example.com") + ends("host-unknown"), decided: []string{"let in juliet"},
		},
		{
			name:  "AP-07 header from another account behind auth",
			say:   opening + authPlain("juliet", password) + openingFrom("romeo@im.example.com") + askBind,
			heard: loggedIn + refused("im.example.com") + ends("invalid-from"), decided: []string{"let in juliet"},
			err: stream.InvalidFrom,
		},
		{
			name:  "AP-07 header from another account before and behind auth",
			say:   openingFrom("romeo@im.example.com") + authPlain("juliet", password) + openingFrom("romeo@im.example.com") + askBind,
			heard: headedTo("romeo@im.example.com") + listsSASL + success + refused("im.example.com") + ends("invalid-from"), decided: []string{"let in juliet"},
			err: stream.InvalidFrom,
		},
		{
			name:  "AP-08 auth again behind success",
			say:   opening + authPlain("juliet", password) + authPlain("romeo", password) + opening + askBind,
			heard: loggedIn + refused("im.example.com") + ends("invalid-namespace"), decided: []string{"let in juliet"},
			err: stream.InvalidNamespace,
		},
		{
			name:  "AP-08 auth again within the stream behind success",
			say:   opening + authPlain("juliet", password) + opening + authPlain("romeo", password) + askBind,
			heard: loggedIn + headedTo(juliet) + listsBind + ends("policy-violation"), decided: []string{"let in juliet"},
			err: stream.PolicyViolation,
		},
		{
			name: "AP-14 iq", say: opening + askBind,
			heard: offered + ends("not-authorized"),
		},
		{
			name: "AP-14 ping", say: opening + `<iq id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>` + authPlain("juliet", password),
			heard: offered + ends("not-authorized"),
		},
		{
			name: "AP-14 message", say: opening + `<message to='romeo@example.net'><body>hi</body></message>` + authPlain("juliet", password),
			heard: offered + ends("not-authorized"),
		},
		{
			name: "AP-14 presence", say: opening + `<presence/>` + authPlain("juliet", password),
			heard: offered + ends("not-authorized"),
		},
		{
			name: "AP-14 auth within an iq", say: opening + `<iq id='p' type='set'>` + authPlain("juliet", password) + `</iq>`,
			heard: offered + `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><malformed-request></malformed-request></failure>` + ends("not-authorized"),
		},
		{
			name: "AP-17 closing tag before auth", say: opening + closing + authPlain("juliet", password) + opening + askBind,
			heard: offered + closing,
		},
		{
			name: "AP-17 closing tag behind auth", say: opening + authPlain("juliet", password) + closing + opening + askBind,
			heard: loggedIn + refused("im.example.com") + ends("not-well-formed"), decided: []string{"let in juliet"},
		},
		{
			name: "AP-17 closing tag before bind", say: opening + authPlain("juliet", password) + opening + closing + askBind,
			heard: loggedIn + headedTo(juliet) + listsBind + closing, decided: []string{"let in juliet"},
		},
	} {
		a.run(t)
	}
}

// TestAttackSCRAM is about what is sent ahead of a challenge.
func TestAttackSCRAM(t *testing.T) {
	for name, behind := range map[string]string{
		"header and bind": opening + askBind,
		"bind":            askBind,
		"closing tag":     closing + askBind,
	} {
		t.Run("AP-12 "+name+" behind the first message of SCRAM", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{}.visit(t, func(p *peer) { p.say(opening, clientFirst(), behind) })
				require.Error(t, v.Err)
				assert.Empty(t, v.Decided)
				head, tail, _ := strings.Cut(v.Heard, `<challenge xmlns="urn:ietf:params:xml:ns:xmpp-sasl">`)
				assert.Equal(t, headed+listsSASL, head)
				_, tail, _ = strings.Cut(tail, `</challenge>`)
				switch name {
				case "header and bind":
					assert.Equal(t, ends("not-authorized"), tail)
				case "bind":
					assert.Equal(t, `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><malformed-request></malformed-request></failure>`+ends("not-authorized"), tail)
				case "closing tag":
					assert.Equal(t, closing, tail)
				}
				assert.LessOrEqual(t, v.Took, time.Second)
			})
		})
	}
	t.Run("AP-08 the second auth in place of a response is seen in its turn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) {
				p.say(opening, clientFirst(), authPlain("romeo", "wrong"), authPlain("juliet", password))
			})
			require.ErrorIs(t, v.Err, sasl.ErrAuthn)
			assert.Equal(t, []string{"turn away romeo"}, v.Decided)
			_, tail, _ := strings.Cut(v.Heard, `</challenge>`)
			assert.Equal(t, notAuthorized+ends("not-authorized"), tail)
		})
	})
	t.Run("AP-06 wrong proof with header and bind behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := logInWith(t, plainTCP, pipelining.Full, host{}, func(cfg *pipelining.ClientConfig) {
				cfg.Mechanisms, cfg.Password = []sasl.Mechanism{sasl.ScramSha256}, "wrong"
			})
			var failure pipelining.AuthError
			require.ErrorAs(t, l.ClientErr, &failure)
			assert.Equal(t, "not-authorized", failure.Condition)
			require.ErrorIs(t, l.ServerErr, sasl.ErrAuthn)
			assert.Contains(t, string(l.Link.Sent(0)), "<bind", "the client had sent it ahead")
			assert.Empty(t, l.decided())
			_, tail, _ := strings.Cut(string(l.Link.Sent(1)), `</challenge>`)
			assert.Equal(t, notAuthorized+ends("not-authorized"), tail)
		})
	})
}
