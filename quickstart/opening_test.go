// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

// tokensOf returns a function for Dialer.Opening.
func tokensOf(s string) func() xml.TokenReader {
	return func() xml.TokenReader { return xml.NewDecoder(strings.NewReader(s)) }
}

// newPlain returns a library where openings are sent ahead, and who dials it.
func newPlain(t testing.TB) (*library, *world, *quickstart.Dialer) {
	l := newLibrary(newOldHouse())
	w := newWorld(t, l.serve)
	d := newDialer(w)
	d.Mechanisms = []string{auth.Plain}
	return l, w, d
}

func TestOpening(t *testing.T) {
	inBubble(t, "stanzas of all kinds, on the wire as they are", func(t *testing.T) {
		for _, ahead := range []bool{false, true} {
			l, _, d := newPlain(t)
			d.NoCarbons = true
			if ahead {
				mustDial(t, d)
			}
			d.Opening = tokensOf(`
				<presence><priority>1</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='&lt;' ver='x'/></presence>
				<message xmlns='jabber:client' to='romeo@im.example.com'><body>&amp; then</body></message>
				<iq type='get' to='im.example.com'><ping xmlns='urn:xmpp:ping'/></iq>`)
			s := mustDial(t, d)
			assert.Equal(t, ahead, s.Report.Opening)
			time.Sleep(2 * roundTrip)
			var kinds []string
			said := l.hear()
			for _, s := range said {
				kinds = append(kinds, s.Name)
			}
			assert.Equal(t, []string{"presence", "message", "iq"}, kinds)
			assert.NotEmpty(t, said[2].ID, "an IQ has an id")
			assert.Equal(t, "ping", said[2].Payload.Local)
			heard := l.heard.String()
			assert.Contains(t, heard, `<c xmlns="http://jabber.org/protocol/caps" hash="sha-1" node="&lt;" ver="x"></c></presence>`)
			assert.Contains(t, heard, `<body xmlns="jabber:client">&amp; then</body>`)
		}
	})
	inBubble(t, "Available", func(t *testing.T) {
		l, _, d := newPlain(t)
		d.Opening, d.NoCarbons = quickstart.Available, true
		mustDial(t, d)
		time.Sleep(roundTrip)
		assert.True(t, strings.HasSuffix(l.heard.String(), "<presence></presence>"), l.heard.String())
	})
	inBubble(t, "answers are the program's", func(t *testing.T) {
		l, _, d := newPlain(t)
		d.Opening = tokensOf(`<iq type='get' id='mine'><ping xmlns='urn:xmpp:ping'/></iq>`)
		for range 2 {
			var got []string
			s := enter(t, d, xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
				got = append(got, start.Attr[0].Value)
				return nil
			}))
			time.Sleep(2 * roundTrip)
			s.leave()
			assert.Equal(t, []string{"mine"}, got, "and what the Dialer has asked for is not")
		}
		assert.Len(t, gets(l.hear(), "urn:xmpp:carbons:2"), 2)
	})
	inBubble(t, "it is called once for each connection", func(t *testing.T) {
		l := newLibrary(kinds["bind2:0"]())
		w := newWorld(t, l.serve)
		d := newDialer(w)
		d.Mechanisms = []string{auth.Plain}
		calls := 0
		d.Opening = func() xml.TokenReader {
			calls++
			return quickstart.Available()
		}
		mustDial(t, d)
		assert.True(t, mustDial(t, d).Report.Opening)
		require.Equal(t, 2, calls)
		now := newLibrary(l.renovated(func(h *house) { h.noEarly = true }))
		w.put(homeAddress, now.serve)
		r := mustDial(t, d).Report
		assert.Equal(t, 2, r.Attempts)
		assert.False(t, r.Opening, "it was not in the flight of the login that succeeded")
		assert.Equal(t, 4, calls)
		time.Sleep(roundTrip)
		said := now.hear()
		assert.Equal(t, "presence", said[len(said)-1].Name)
	})
	inBubble(t, "the time for the login is none for the session", func(t *testing.T) {
		l, _, d := newPlain(t)
		d.Opening = quickstart.Available
		ctx, cancel := context.WithCancel(t.Context())
		s, err := d.Dial(ctx, juliet, quickstart.Password(password))
		require.NoError(t, err)
		cancel()
		time.Sleep(2 * quickstart.DefaultTimeout)
		require.NoError(t, s.Send(t.Context(), quickstart.Available()))
		time.Sleep(roundTrip)
		said := l.hear()
		assert.Len(t, said, 3, "copies, presence, and presence")
	})
	inBubble(t, "nothing to begin with", func(t *testing.T) {
		l, _, d := newPlain(t)
		d.NoCarbons = true
		d.Opening = func() xml.TokenReader { return nil }
		for range 2 {
			assert.False(t, mustDial(t, d).Report.Opening)
		}
		time.Sleep(roundTrip)
		assert.Empty(t, l.hear())
	})
	inBubble(t, "RV-02: what was learned last is what is asked by", func(t *testing.T) {
		l, _, d := newPlain(t)
		d.Roster = true
		l.noVersions = true
		for _, step := range []struct {
			without bool
			has     bool
		}{{true, false}, {false, false}, {false, true}, {true, true}, {true, false}} {
			l.noVersions = step.without
			s := enter(t, d, nil)
			s.settled(t)
			_, has := versionAsked(t, l)
			assert.Equal(t, step.has, has)
			s.leave()
		}
	})
}

func TestOpeningRefused(t *testing.T) {
	failed := errors.New("no presence today")
	for name, opening := range map[string]func() xml.TokenReader{
		"no stanza":        tokensOf(`<stream xmlns='http://etherx.jabber.org/streams'/>`),
		"another name":     tokensOf(`<starttls/>`),
		"another language": tokensOf(`<message xmlns='jabber:server'/>`),
		"text":             tokensOf(`<presence/>hello`),
		"a comment":        tokensOf(`<presence/><!-- hello -->`),
		"an instruction":   tokensOf(`<?xml version='1.0'?><presence/>`),
		"one that is open": func() xml.TokenReader {
			return xmlstream.Token(xml.StartElement{Name: xml.Name{Local: "presence"}})
		},
		"one that is only closed": func() xml.TokenReader {
			return xmlstream.Token(xml.EndElement{Name: xml.Name{Local: "presence"}})
		},
		"a name that is none": func() xml.TokenReader {
			return stanza.Presence{}.Wrap(xmlstream.Wrap(nil, xml.StartElement{}))
		},
		"an error": func() xml.TokenReader {
			return xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, failed })
		},
	} {
		for _, ahead := range []bool{false, true} {
			how := ", behind the login"
			if ahead {
				how = ", ahead"
			}
			inBubble(t, name+how, func(t *testing.T) {
				l, w, d := newPlain(t)
				if ahead {
					mustDial(t, d)
				}
				time.Sleep(roundTrip)
				l.hear()
				before := len(w.connections())
				d.Opening = opening
				_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
				require.ErrorIs(t, err, quickstart.ErrOpening)
				assert.Equal(t, name == "an error", errors.Is(err, failed))
				assert.Equal(t, 1, strings.Count(err.Error(), "quickstart: "), err)
				assert.Len(t, w.connections(), before+1, "another connection would be in vain")
				time.Sleep(roundTrip)
				assert.Empty(t, l.hear(), "nothing of it is sent")
				_, err = w.last().A.Write([]byte{' '})
				assert.Error(t, err, "the connection is closed")

				d.Opening = nil
				s := mustDial(t, d)
				assert.Equal(t, ahead, s.Report.Held, "the server is not to blame")
			})
		}
	}
	inBubble(t, "the connection is lost", func(t *testing.T) {
		l, w, d := newPlain(t)
		d.Opening = func() xml.TokenReader {
			_ = w.last().B.Close()
			time.Sleep(roundTrip)
			return quickstart.Available()
		}
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		assert.Len(t, w.connections(), 1)
		assert.Empty(t, l.hear())
	})
	inBubble(t, "the end of the context", func(t *testing.T) {
		_, _, d := newPlain(t)
		ctx, cancel := context.WithCancel(t.Context())
		d.Opening = func() xml.TokenReader {
			cancel()
			time.Sleep(time.Second)
			return quickstart.Available()
		}
		_, err := d.Dial(ctx, juliet, quickstart.Password(password))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestCarbonsBehindLegacy(t *testing.T) {
	inBubble(t, "refused", func(t *testing.T) {
		l, _, d := newPlain(t)
		l.talks(func(c *clerk, s said) bool {
			c.say("<iq id='%s' type='error' from='juliet@im.example.com'><error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq><message/>", s.ID)
			return true
		})
		var log bytes.Buffer
		d.Logger = slog.New(slog.NewTextHandler(&log, nil))
		seen := 0
		s := enter(t, d, xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			assert.Equal(t, "message", start.Name.Local)
			seen++
			return nil
		}))
		time.Sleep(2 * roundTrip)
		s.leave()
		assert.Equal(t, 1, seen, "the session goes on")
		assert.Contains(t, log.String(), "feature-not-implemented")
		assert.NotContains(t, log.String(), password)
	})
	for name, set := range map[string]func(*quickstart.Dialer){
		"NoCarbons":             func(d *quickstart.Dialer) { d.NoCarbons = true },
		"Legacy":                func(d *quickstart.Dialer) { d.Legacy = true },
		"Legacy with NoCarbons": func(d *quickstart.Dialer) { d.Legacy, d.NoCarbons = true, true },
		"bind":                  func(*quickstart.Dialer) {},
	} {
		inBubble(t, name, func(t *testing.T) {
			l := newLibrary(newHouse())
			w := newWorld(t, l.serve)
			d := newDialer(w)
			set(d)
			for range 2 {
				mustDial(t, d)
				time.Sleep(roundTrip)
				asked := gets(l.hear(), "urn:xmpp:carbons:2")
				assert.Equal(t, d.Legacy && !d.NoCarbons, len(asked) == 1, asked)
			}
		})
	}
}

// TestServe asserts what reaches a program's handler.
func TestServe(t *testing.T) {
	const noise = `<iq type='set' id='a' from='romeo@im.example.com/x'><query xmlns='jabber:iq:other' a='b'>c<d/>e</query></iq>` +
		"<iq type='set' id='b'>\n <x xmlns='y'>z</x>\n</iq>" +
		`<iq type='set' id='c'/>` +
		`<iq type='get' id='d'><query xmlns='jabber:iq:roster'/></iq>` +
		`<iq type='result' id='e' from='im.example.com'/>` +
		`<iq type='error' id='f'><error type='wait'/></iq>` +
		`<message type='chat'><body>hi</body></message>` +
		`<iq type='set' id='g'>` + `a<![CDATA[b]]>c<![CDATA[d]]>e<![CDATA[f]]><query xmlns='jabber:iq:roster'/></iq>` +
		`<presence/>`
	// record serves until the session ends, and returns what came in.
	record := func(t *testing.T, l *library, s *quickstart.Session, serve func(xmpp.Handler) error) string {
		var b strings.Builder
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = serve(xmpp.HandlerFunc(func(rw xmlstream.TokenReadEncoder, start *xml.StartElement) error {
				e := xml.NewEncoder(&b)
				tokens, err := xmlstream.ReadAll(xmlstream.MultiReader(xmlstream.Token(start.Copy()), rw))
				for _, tok := range tokens {
					assert.NoError(t, e.EncodeToken(tok))
				}
				assert.NoError(t, e.Flush())
				b.WriteByte('\n')
				return err
			}))
		}()
		time.Sleep(roundTrip)
		l.clerks[len(l.clerks)-1].say(noise)
		time.Sleep(2 * roundTrip)
		_ = s.Conn().Close()
		<-done
		return b.String()
	}
	inBubble(t, "all that is not asked for by the Dialer, as it is", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newDialer(w)
		s := mustDial(t, d)
		stock := record(t, l, s, s.Session.Serve)
		answers := l.hear()
		s = mustDial(t, d)
		assert.Equal(t, stock, record(t, l, s, s.Serve), "with nothing asked for")
		assert.Equal(t, answered(answers), answered(l.hear()))

		d.Roster = true
		s = mustDial(t, d)
		assert.Equal(t, stock, record(t, l, s, s.Serve), "with a roster")
		now := l.hear()
		assert.Equal(t, answered(answers), answered(now)[1:], "behind the question for the roster")
	})
	inBubble(t, "who serves the session in it gets all himself", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		s := mustDial(t, newReader(w))
		got := record(t, l, s, s.Session.Serve)
		assert.Contains(t, got, "nurse@im.example.com")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, s.Roster.Wait(ctx), context.DeadlineExceeded)
	})
	inBubble(t, "a handler that fails ends the session", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		s := mustDial(t, newReader(w))
		failed := errors.New("no more")
		time.AfterFunc(roundTrip*3, func() { l.clerks[0].say("<message/>") })
		err := s.Serve(xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error { return failed }))
		require.ErrorIs(t, err, failed)
		require.NoError(t, s.Roster.Wait(t.Context()), "the answer came before")
	})
	inBubble(t, "a callback may send", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		var s *quickstart.Session
		d.RosterPush = func(_ jid.JID, item quickstart.RosterItem) {
			assert.NoError(t, s.Send(t.Context(), stanza.Presence{To: item.JID, Type: stanza.SubscribedPresence}.Wrap(nil)))
		}
		s = mustDial(t, d)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Serve(nil)
		}()
		require.NoError(t, s.Roster.Wait(t.Context()))
		l.edit("benvolio@im.example.com", `subscription='from'>`)
		time.Sleep(2 * roundTrip)
		said := l.hear()
		require.Len(t, said, 3)
		assert.Equal(t, "presence", said[1].Name)
		assert.Equal(t, "benvolio@im.example.com", said[1].To)
		assert.Equal(t, "result", said[2].Type)
		_ = s.Conn().Close()
		<-done
	})
}

// answered returns the ids and types of stanzas.
func answered(all []said) []string {
	var list []string
	for _, s := range all {
		list = append(list, s.Name+" "+s.ID+" "+s.Type)
	}
	return list
}
