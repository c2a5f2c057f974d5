// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// flood is more than any peer has to say.
const flood = 10 << 20

// lingering is how much a server reads of a peer that it has hung up on.
const lingering = 64 << 10

// TestAttackSize is about peers that say too much.
func TestAttackSize(t *testing.T) {
	offered := headed + listsSASL
	unread := `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>`
	violated := ends("policy-violation")
	for _, test := range []struct {
		name, say, heard string
		decided          []string
		most             int // bytes before the server hangs up
	}{
		{
			name: "AP-09 headers", say: strings.Repeat(opening, 10_000),
			heard: offered + ends("not-authorized"), most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-09 headers of streams that end", say: strings.Repeat(opening+closing, 10_000),
			heard: offered + closing, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 within auth", say: opening + unread + strings.Repeat("A", flood),
			heard: offered + violated, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 within auth, which ends", say: opening + unread + strings.Repeat("A", flood) + `</auth>` + opening + askBind,
			heard: offered + violated, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 elements within auth", say: opening + unread + strings.Repeat("<a>", flood/3),
			heard: offered + violated, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 behind a failing auth", say: opening + authPlain("juliet", "wrong") + strings.Repeat("A", flood),
			heard:   offered + notAuthorized + ends("not-authorized"),
			decided: []string{"turn away juliet"}, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 white space before the header", say: strings.Repeat(" ", flood) + opening,
			heard: refused("") + violated, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 white space behind the header", say: opening + strings.Repeat("\n", flood) + authPlain("juliet", password),
			heard: offered + violated, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 attribute of the header", say: strings.TrimSuffix(opening, ">") + " a='" + strings.Repeat("A", flood) + "'>",
			heard: refused("") + violated, most: 16 << 10,
		},
		{
			name: "AP-10 attributes of the header", say: strings.TrimSuffix(opening, ">") + attributes(flood/10) + ">",
			heard: refused("") + violated, most: 16 << 10,
		},
		{
			name: "AP-10 XML declaration", say: "<?xml " + strings.Repeat("A", flood) + "?>" + opening,
			heard: refused("") + violated, most: pipelining.DefaultMaxBytes,
		},
		{
			name: "AP-10 header behind auth", say: opening + authPlain("juliet", password) + strings.TrimSuffix(opening, ">") + " a='" + strings.Repeat("A", flood),
			heard: offered + success + refused("im.example.com") + violated, decided: []string{"let in juliet"}, most: 16 << 10,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{}.visit(t, func(p *peer) { p.try(test.say) })
				require.Error(t, v.Err)
				assert.Equal(t, test.heard, v.Heard)
				assert.Equal(t, test.decided, v.Decided)
				assert.LessOrEqual(t, v.Read, test.most+lingering)
				assert.LessOrEqual(t, v.Took, time.Second)
			})
		})
	}
	t.Run("AP-10 within TLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{transport: startTLS}.visit(t, func(p *peer) {
				require.NoError(t, p.startTLS(opening+startTag, 0))
				p.try(opening + unread + strings.Repeat("A", 1<<20))
			})
			require.ErrorIs(t, v.Err, stream.PolicyViolation)
			assert.Equal(t, offered+violated, v.Heard)
			assert.Empty(t, v.Decided)
			assert.LessOrEqual(t, v.Read, pipelining.DefaultMaxBytes+lingering+(64<<10)) // TLS reads by the record, and ahead
		})
	})
}

// attributes returns n attributes, all of them different.
func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d=''", i)
	}
	return b.String()
}

// TestAttackDrip is about peers that take their time.
func TestAttackDrip(t *testing.T) {
	t.Run("AP-11 byte by byte", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) {
				for _, b := range []byte(logInPlain()) {
					p.say(string(b))
					time.Sleep(50 * time.Millisecond)
				}
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
			assert.Equal(t, headed+listsSASL+success+headedTo("juliet@im.example.com")+listsBind+bound, v.Heard)
			assert.Equal(t, []string{"let in juliet", "bind juliet@im.example.com balcony"}, v.Decided)
		})
	})
	t.Run("AP-11 a byte each second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) {
				for _, b := range []byte(logInPlain()) {
					p.try(string(b))
					time.Sleep(time.Second)
				}
			})
			require.ErrorIs(t, v.Err, context.DeadlineExceeded)
			assert.Equal(t, refused("")+ends("connection-timeout"), v.Heard)
			assert.Empty(t, v.Decided)
			assert.LessOrEqual(t, v.Took, pipelining.DefaultTimeout+2*time.Second)
		})
	})
	t.Run("AP-11 nothing within auth", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{cfg: pipelining.Config{Timeout: 5 * time.Second}}.visit(t, func(p *peer) { p.say(opening, authPlain("juliet", password)[:80]) })
			require.ErrorIs(t, v.Err, context.DeadlineExceeded)
			assert.Equal(t, headed+listsSASL+ends("connection-timeout"), v.Heard)
			assert.Empty(t, v.Decided)
			assert.LessOrEqual(t, v.Took, 7*time.Second)
		})
	})
	t.Run("AP-11 a peer that does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			link := xmpptest.NewLink(xmpptest.LinkConfig{Limit: 16})
			ended := make(chan error)
			start := time.Now()
			go func() {
				_, err := serve(t.Context(), plainTCP, link.B, pipelining.Config{Timeout: 5 * time.Second})
				ended <- err
			}()
			go func() { _, _ = io.WriteString(link.A, logInPlain()) }()
			require.ErrorIs(t, <-ended, context.DeadlineExceeded)
			assert.LessOrEqual(t, time.Since(start), 11*time.Second, "the last words are limited too")
			_, err := link.A.Write([]byte{' '})
			assert.ErrorIs(t, err, io.ErrClosedPipe)
			_ = link.Close()
		})
	})
}

// TestAttackAhead is about stanzas that are sent ahead of the answer to bind.
func TestAttackAhead(t *testing.T) {
	const message = `<message id='%' to='romeo@example.net'><body>hi</body></message>`
	first, second := strings.Replace(message, "%", "1", 1), strings.Replace(message, "%", "2", 1)
	for _, chunk := range []int{0, 1} {
		t.Run("AP-13 messages behind bind", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{link: xmpptest.LinkConfig{Chunk: chunk}}.visit(t, func(p *peer) {
					p.say(logInPlain(), first, second, closing)
					p.until("</iq>")
				})
				require.NoError(t, v.Err)
				var routed []string
				err := v.Session.Serve(xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
					routed = append(routed, start.Name.Local+" "+start.Attr[0].Value)
					return nil
				}))
				require.NoError(t, err)
				assert.Equal(t, []string{"message 1", "message 2"}, routed)
				assert.Equal(t, headed+listsSASL+success+headedTo("juliet@im.example.com")+listsBind+bound, v.Heard)
			})
		})
	}
	t.Run("AP-13 messages behind a bind that fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			full := errors.New("no room for another session")
			v := host{features: func(d *decisions) []xmpp.StreamFeature {
				return []xmpp.StreamFeature{
					pipelining.SASLServer(d.permit, scramServer(), sasl.Plain),
					xmpp.BindCustom(func(jid.JID, string) (jid.JID, error) { return jid.JID{}, full }),
					pipelining.StreamFeature(),
				}
			}}.visit(t, func(p *peer) { p.say(logInPlain(), first, second) })
			require.ErrorIs(t, v.Err, full)
			assert.Zero(t, v.Session.State()&ready)
			assert.Equal(t, headed+listsSASL+success+headedTo("juliet@im.example.com")+listsBind+ends("internal-server-error"), v.Heard)
		})
	})
	t.Run("AP-13 messages in place of bind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) { p.say(opening, authPlain("juliet", password), opening, first, askBind) })
			require.Error(t, v.Err)
			assert.Equal(t, headed+listsSASL+success+headedTo("juliet@im.example.com")+listsBind+ends("not-authorized"), v.Heard)
			assert.Equal(t, []string{"let in juliet"}, v.Decided)
		})
	})
}
