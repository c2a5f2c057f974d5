// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// examples returns the bytes of a specification's examples by their names.
func examples(t testing.TB, file string) map[string]string {
	t.Helper()
	tr, err := xmpptest.ReadTranscript("testdata/" + file)
	require.NoError(t, err)
	all := make(map[string]string)
	name := ""
	for _, line := range tr.Flights() {
		if line.Kind == xmpptest.Stage {
			name = line.Text
			continue
		}
		all[name] = line.Text
	}
	return all
}

// tokens are the tags and the texts of XML without white space, with attributes
// in the order of their names.
func tokens(t testing.TB, s string) (all []any) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		tok, err := d.RawToken()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return all
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			attrs := make(map[xml.Name]string)
			for _, a := range tok.Attr {
				attrs[a.Name] = a.Value
			}
			all = append(all, tok.Name, attrs)
		case xml.EndElement:
			all = append(all, tok)
		case xml.CharData:
			if text := strings.TrimSpace(string(tok)); text != "" {
				all = append(all, text)
			}
		}
	}
}

// smFeature lists stream management, which is somebody else's.
func smFeature() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:      xml.Name{Space: "urn:xmpp:sm:3", Local: "sm"},
		Necessary: xmpp.Authn,
		List: func(_ context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			_, err := xmlstream.Copy(e, xmlstream.Wrap(nil, start))
			return false, err
		},
	}
}

// TestSpecificationEarly is about the examples of version 0.1, at both ends.
func TestSpecificationEarly(t *testing.T) {
	example := examples(t, "specification-0.1.txt")
	nurse := jid.MustParse("nurse@shakespeare.lit/abtet29a9fu")
	unreads := []bind2.Unread{
		{JID: jid.MustParse("romeo@shakespeare.lit"), ReadID: "onuheuhoeu", Count: 3},
		{JID: jid.MustParse("juliet@shakespeare.lit"), ReadID: "koeunhth29", Count: 43},
	}
	opens := strings.NewReplacer(juliet.String(), nurse.Bare().String(), "im.example.com", "shakespeare.lit").Replace(opening)

	inBubble(t, "B2-03, B2-10, B2-11: server", func(t *testing.T) {
		store := &fakeStore{bind: func(bind2.Request) (bind2.Bound, error) {
			return bind2.Bound{JID: nurse, Archived: true, First: bind2.Entry{ID: "first"}, Last: bind2.Entry{ID: "balisoseb"}, Unreads: unreads}, nil
		}}
		h := open(newHouse(store))
		h.logins.Inline = nil
		h.features = []xmpp.StreamFeature{smFeature()}
		o := h.visit(t, func(p *peer) {
			p.say(opens)
			p.until("</stream:features>")
			p.say(plain("nurse", password))
			p.until("success")
			p.until(">")
			p.say(opens)
			p.until("'>")
			list := p.until("</stream:features>")
			list = strings.Replace(list, `<pipelining xmlns="urn:xmpp:features:pipelining"></pipelining>`, "", 1)
			assert.Equal(t, tokens(t, example["features"]), tokens(t, list))
			p.say(example["bind"])
			assert.Equal(t, tokens(t, example["bound"]), tokens(t, p.until("</bound>")))
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-early.txt")
		assert.Equal(t, []bind2.Request{{Account: nurse.Bare(), Protocol: bind2.Early, Carbons: true}}, store.asked(),
			"there is nothing that a client may choose")
	})
	inBubble(t, "B2-03, E-06: client", func(t *testing.T) {
		c, seen := newClient()
		o := hostFor(t, nurse.Bare(), stockClient(c), func(p *peer) {
			p.header()
			p.say("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>")
			p.until("</auth>")
			p.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
			p.header()
			p.say(strings.Join(strings.Fields(strings.ReplaceAll(example["features"], ">\n", ">")), " "))
			assert.Equal(t, tokens(t, example["bind"]), tokens(t, p.until("/>")))
			// White space around addresses, as some of the examples have it.
			p.say(strings.Replace(strings.Replace(example["bound"], "<jid>", "<jid>\n  ", 1), "</jid>", "\n</jid>", 1))
		})
		require.NoError(t, o.Err)
		assert.Equal(t, nurse, o.Session.LocalAddr())
		assert.Equal(t, []told{{bind2.Early, bind2.Bound{
			JID: nurse, Archived: true, Last: bind2.Entry{ID: "balisoseb"}, Unreads: unreads,
		}}}, seen())
	})
}

// enableSM is a Feature that answers what it is asked with a fixed element.
type enableSM struct{ answer string }

func (enableSM) Name() string { return "urn:xmpp:sm:3" }
func (enableSM) Handles(name xml.Name) bool {
	return name == xml.Name{Space: "urn:xmpp:sm:3", Local: "enable"}
}

func (f enableSM) Enable(_ context.Context, _ *xmpp.Session, _ jid.JID, r xml.TokenReader) xml.TokenReader {
	if f.answer == "" {
		return nil
	}
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:sm:3", Local: f.answer}})
}

// askSM is a ClientFeature.
type askSM struct {
	answers *[]string
	err     error
}

func (askSM) Name() string               { return "urn:xmpp:sm:3" }
func (askSM) Handles(name xml.Name) bool { return name.Space == "urn:xmpp:sm:3" }

func (f askSM) Request(jid.JID) ([]byte, func(*xml.Decoder, xml.StartElement, jid.JID) error, error) {
	return []byte("<enable xmlns='urn:xmpp:sm:3'/>"), func(_ *xml.Decoder, start xml.StartElement, bound jid.JID) error {
		*f.answers = append(*f.answers, start.Name.Local+" "+bound.String())
		return f.err
	}, nil
}

// TestSpecificationInline is about the examples of version 1.1, at both ends.
func TestSpecificationInline(t *testing.T) {
	example := examples(t, "specification-1.1.txt")
	user := jid.MustParse("user@example.com/AwesomeXMPP.4232f4d4")
	state := bind2.Bound{
		JID: user, Archived: true,
		First: bind2.Entry{ID: "YWxwaGEg", Time: time.Date(2008, 8, 22, 21, 9, 4, 0, time.UTC)},
		Last:  bind2.Entry{ID: "b21lZ2Eg", Time: time.Date(2020, 4, 20, 14, 34, 21, 0, time.UTC)},
	}
	opens := strings.NewReplacer(juliet.String(), user.Bare().String(), "im.example.com", "example.com").Replace(opening)
	request := func(bind string) string {
		return plain2("user", password, agent, bind)
	}

	for name, ask := range map[string]string{"tag": example["bind with a tag"], "features": example["bind with features"]} {
		inBubble(t, "BN-01, BN-03, BN-06, BN-07, BN-08, BN-23, BN-24: server, with "+name, func(t *testing.T) {
			store := &fakeStore{bind: func(bind2.Request) (bind2.Bound, error) { return state, nil }}
			h := open(newHouse(store))
			h.binds.More = []bind2.Feature{enableSM{}}
			h.logins.Profiles = auth.SASL2
			h.logins.Inline = []auth.Inline{resumption{}, h.binds}
			o := h.visit(t, func(p *peer) {
				p.say(opens)
				p.until("'>")
				list := strings.Replace(p.until("</stream:features>"), `<pipelining xmlns="urn:xmpp:features:pipelining"></pipelining>`, "", 1)
				// The order of what is inline is not given.
				sm := `<sm xmlns="urn:xmpp:sm:3"></sm>`
				list = strings.Replace(strings.Replace(list, sm, "", 1), "</bind></inline>", "</bind>"+sm+"</inline>", 1)
				assert.Equal(t, tokens(t, example["features"]), tokens(t, list))
				p.say(request(ask))
				assert.Equal(t, tokens(t, example["success"]), tokens(t, p.until("</success>")))
				assert.Equal(t, "<stream:features></stream:features>", p.until("</stream:features>"), "D-11: there is no other way to bind")
			})
			require.NoError(t, o.Err)
			o.golden(t, "server-inline-"+name+".txt")
			assert.Equal(t, []bind2.Request{{
				Account: user.Bare(), Protocol: bind2.Inline, Tag: "AwesomeXMPP", Client: agentID,
				Carbons: name == "features", Inactive: name == "features",
			}}, store.asked())
		})
		inBubble(t, "BN-06, BN-07, BN-08, BN-23, BN-24: client, with "+name, func(t *testing.T) {
			var answers []string
			c, seen := newClient()
			c.Tag = "AwesomeXMPP"
			if name == "features" {
				c.Inactive = true
				c.Features = []bind2.ClientFeature{askSM{answers: &answers}}
			} else {
				c.NoCarbons = true
			}
			o := hostFor(t, user.Bare(), aheadClient(aheadPlan, auth.Plain, c), func(p *peer) {
				p.header()
				p.say(example["features"])
				got := p.until("</authenticate>")
				_, got, _ = strings.Cut(got, "<bind")
				got, _, _ = strings.Cut("<bind"+got, "</bind>")
				want := example["bind with "+map[string]string{"tag": "a tag", "features": "features"}[name]]
				// What was asked for is in the order of Client.Features.
				sm := "<enable xmlns='urn:xmpp:sm:3'/>"
				if name == "features" {
					got = strings.Replace(got, sm, "", 1)
					want = strings.Replace(want, sm, "", 1)
				}
				assert.Equal(t, tokens(t, want), tokens(t, got+"</bind>"))
				p.say(example["success"], "<stream:features/>")
			})
			require.NoError(t, o.Err)
			assert.Equal(t, user, o.Session.LocalAddr())
			assert.Equal(t, []told{{bind2.Inline, state}}, seen())
			assert.Empty(t, answers, "there was none")
		})
	}
}
