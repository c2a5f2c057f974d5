// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

// streamError is a stream error with its own declaration of the prefix.
const streamError = `<stream:error xmlns:stream='http://etherx.jabber.org/streams'><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`

// TestHostileInput is about bytes that no stream may contain.
func TestHostileInput(t *testing.T) {
	none := refused("")
	offered := headed + listsSASL
	inAuth := func(s string) string {
		return opening + `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` + s + `AGp1bGlldAByMG0zMG15cjBtMzA=</auth>` + opening + askBind
	}
	long := strings.TrimSuffix(opening, ">") + " a='" + strings.Repeat("A", 8<<10) + "'>"
	hello := "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + strings.Repeat("\x00", 32) + "<"
	for _, test := range []struct{ name, say, heard string }{
		{"comment before the header", `<!-- c -->` + logInPlain(), none + ends("restricted-xml")},
		{"comment behind the header", opening + `<!-- c -->` + authPlain("juliet", password), offered + ends("restricted-xml")},
		{"comment within auth", inAuth(`<!-- c -->`), offered + ends("restricted-xml")},
		{"instruction before the header", `<?xml version='1.0'?><?p i?>` + logInPlain(), none + ends("restricted-xml")},
		{"instruction behind the header", opening + `<?p i?>` + authPlain("juliet", password), offered + ends("restricted-xml")},
		{"instruction within auth", inAuth(`<?p i?>`), offered + ends("restricted-xml")},
		{"instruction in place of a declaration", `<?p i?>` + logInPlain(), none + ends("restricted-xml")},
		{"second declaration", opening + `<?xml version='1.0'?>` + authPlain("juliet", password), offered + ends("restricted-xml")},
		{"DTD before the header", `<!DOCTYPE s [<!ENTITY e "e">]>` + logInPlain(), none + ends("restricted-xml")},
		{"DTD behind the header", opening + `<!DOCTYPE s>`, offered + ends("restricted-xml")},
		{"DTD within auth", inAuth(`<!ENTITY e "e">`), offered + ends("restricted-xml")},
		{"entity within auth", inAuth(`&e;`), offered + ends("restricted-xml")},
		{"entity behind the header", opening + `&amp;`, offered + ends("bad-format")},
		{"ampersand within auth", inAuth(`& `), offered + ends("not-well-formed")},
		{"CDATA behind the header", opening + `<![CDATA[ ]]>`, offered + ends("restricted-xml")},
		{"CDATA before the header", `<![CDATA[ ]]>` + opening, none + ends("restricted-xml")},
		{"text before the header", `hello` + opening, none + ends("not-well-formed")},
		{"text behind the header", opening + `hello` + authPlain("juliet", password), offered + ends("bad-format")},
		{"byte order mark", "\xef\xbb\xbf" + opening, none + ends("not-well-formed")},
		{"ClientHello", hello, none + ends("not-well-formed")},
		{"HTTP", "GET / HTTP/1.1\r\nHost: im.example.com\r\n\r\n", none + ends("not-well-formed")},
		{"NUL before the header", "\x00" + opening, none + ends("not-well-formed")},
		{"NUL behind the header", opening + "\x00", offered + ends("bad-format")},
		{"NUL within auth", inAuth("\x00"), offered + ends("not-well-formed")},
		{"NUL within the header", strings.Replace(opening, "1.0", "1.0\x00", 1), none + ends("not-well-formed")},
		{"not UTF-8 within the header", strings.Replace(opening, "1.0", "1.0\xff", 1), none + ends("not-well-formed")},
		{"not UTF-8 within auth", inAuth("\xff"), offered + ends("not-well-formed")},
		{"surrogate within auth", inAuth("\xed\xa0\x80"), offered + ends("not-well-formed")},
		{"reference to a surrogate within auth", inAuth("&#xD800;"), offered + ends("bad-format")},
		{"another encoding", `<?xml version='1.0' encoding='latin-1'?>` + logInPlain(), none + ends("unsupported-encoding")},
		{"long header", long, none + ends("policy-violation")},
		{"attribute twice", strings.Replace(openingFrom("juliet@im.example.com"), " to=", " from='romeo@im.example.com' to=", 1) + authPlain("juliet", password), none + ends("not-well-formed")},
		{"attribute of auth twice", opening + strings.Replace(authPlain("juliet", password), " mechanism=", " mechanism='X' mechanism=", 1), offered + ends("not-well-formed")},
		{"tags that do not match", opening + `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>A</b>`, offered + ends("not-well-formed")},
		{"tag of nothing", opening + `<>`, offered + ends("not-well-formed")},
		{"not base64", inAuth("!"), offered + ends("bad-format")},
		{"auth in another namespace", opening + `<auth xmlns='urn:example:other' mechanism='PLAIN'>A</auth>`, offered + ends("policy-violation")},
		{"features", opening + offersSASL, offered + ends("policy-violation")},
		{"starttls within TLS", opening + startTag, offered + ends("policy-violation")},
		{"header in another namespace", strings.Replace(opening, "etherx.jabber.org/streams", "example.com/streams", 1), none + ends("invalid-namespace")},
		{"header with another content", strings.Replace(opening, "jabber:client", "jabber:other", 1), refused("im.example.com") + ends("invalid-namespace")},
		{"header of another version", strings.Replace(opening, "1.0", "2.0", 1), refused("im.example.com") + ends("unsupported-version")},
		{"header of no address", strings.Replace(opening, "im.example.com", "@", 1), none + ends("improper-addressing")},
		{"no header", authPlain("juliet", password) + opening, none + ends("invalid-namespace")},
		{"empty stream", strings.TrimSuffix(opening, ">") + "/>" + authPlain("juliet", password), headed + listsSASL + closing},
		{"closing tag first", closing + logInPlain(), none + ends("not-well-formed")},
		{"stream error in place of a header", streamError, none + closing},
		{"empty stream error in place of a header", `<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>`, none + closing},
		{"stream error without a prefix in place of a header", `<error xmlns='http://etherx.jabber.org/streams'></error>`, none + closing},
		{"stream error of nobody in place of a header", `<stream:error/>`, none + closing},
		{"stream error behind the header", opening + streamError + authPlain("juliet", password), offered + closing},
		{"stream error behind auth", opening + authPlain("juliet", password) + streamError, offered + success + refused("im.example.com") + closing},
		{"second header", opening + opening + authPlain("juliet", password), offered + ends("not-authorized")},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, chunk := range []int{0, 1} {
				synctest.Test(t, func(t *testing.T) {
					v := host{link: xmpptest.LinkConfig{Chunk: chunk}}.visit(t, func(p *peer) { p.say(test.say) })
					require.Error(t, v.Err)
					assert.Equal(t, test.heard, v.Heard)
					if !strings.Contains(test.heard, success) {
						assert.Empty(t, v.Decided)
					}
					assert.LessOrEqual(t, v.Took, time.Second)
				})
			}
		})
	}
	t.Run("truncated everywhere", func(t *testing.T) {
		whole := logInPlain()
		for n := range len(whole) {
			synctest.Test(t, func(t *testing.T) {
				v := host{}.visit(t, func(p *peer) {
					p.say(whole[:n])
					require.NoError(t, p.Conn.(interface{ CloseWrite() error }).CloseWrite())
				})
				require.Error(t, v.Err)
				assert.Zero(t, v.Took, "there is nobody to wait for")
				assert.NotContains(t, v.Heard, bound)
			})
		}
	})
	t.Run("the longest header", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			room := 8<<10 - len(opening) - len(" a=''")
			v := host{}.visit(t, func(p *peer) {
				p.say(strings.TrimSuffix(opening, ">"), " a='", strings.Repeat("A", room), "'>", authPlain("juliet", password), opening, askBind)
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
		})
	})
}

// TestHostileAddress is about how a client calls itself in its headers.
func TestHostileAddress(t *testing.T) {
	names := map[string]string{
		"absent": opening, "bare": openingFrom("juliet@im.example.com"),
		"full": openingFrom("juliet@im.example.com/balcony"), "full, other resource": openingFrom("juliet@im.example.com/x"),
		"not normal": openingFrom("JULIET@im.example.com"),
	}
	for before, first := range names {
		for behind, second := range names {
			t.Run(before+" before and "+behind+" behind auth", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := host{}.visit(t, func(p *peer) {
						p.say(first, authPlain("juliet", password), second, askBind)
						p.until("</iq>")
					})
					require.NoError(t, v.Err)
					assert.Equal(t, juliet, v.Session.RemoteAddr())
					assert.Equal(t, domain, v.Session.LocalAddr())
					assert.Equal(t, []string{"let in juliet", "bind juliet@im.example.com balcony"}, v.Decided)
					assert.Contains(t, v.Heard, bound)
				})
			})
		}
	}
	t.Run("no address behind auth", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) { p.say(opening, authPlain("juliet", password), openingFrom("@"), askBind) })
			require.ErrorIs(t, v.Err, stream.ImproperAddressing)
			assert.Equal(t, headed+listsSASL+success+refused("im.example.com")+ends("improper-addressing"), v.Heard)
		})
	})
	for name, header := range map[string]string{
		"another account":    openingFrom("romeo@im.example.com"),
		"the domain":         openingFrom("im.example.com"),
		"another domain":     openingFrom("juliet@verona.example"),
		"an escaped account": openingFrom("&#114;omeo@im.example.com"),
	} {
		t.Run(name+" behind auth", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{}.visit(t, func(p *peer) { p.say(opening, authPlain("juliet", password), header, askBind) })
				require.Error(t, v.Err)
				assert.Equal(t, headed+listsSASL+success+refused("im.example.com")+ends("invalid-from"), v.Heard)
				assert.Equal(t, []string{"let in juliet"}, v.Decided)
			})
		})
	}
}
