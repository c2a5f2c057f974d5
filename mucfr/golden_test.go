// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// The examples of XEP-0311, with what opaque values this package has in place of
// theirs.
func TestExamples(t *testing.T) {
	var (
		romeo  = jid.MustParse("romeo@montague.lit/lane")
		juliet = jid.MustParse("juliet@capulet.lit/balcony")
		r      = mucfr.NewRoom(jid.MustParse("orchard@chat.capulet.lit"), mucfr.Options{})
	)
	_, err := r.Join(mucfr.Join{JID: juliet, Nick: "Juliet", Affiliation: muc.AffiliationOwner, Role: moderator})
	require.NoError(t, err)

	// want compares a stanza with an example, in which $session and $id stand for what the
	// stanza has.
	want := func(t *testing.T, s mucfr.Stanza, example string) {
		t.Helper()
		e, _ := s.Element()
		example = strings.NewReplacer("$session", e.Session, "$id", e.ID).Replace(example)
		assert.Equal(t, canonical(t, example), canonical(t, string(s.AppendXML(nil))))
	}
	mine := func(to []mucfr.Stanza, who jid.JID) (all []mucfr.Stanza) {
		for _, s := range to {
			if s.To.Equal(who) {
				all = append(all, s)
			}
		}
		return all
	}
	join := func(t *testing.T, x string) []mucfr.Stanza {
		t.Helper()
		to, err := r.Join(mucfr.Join{JID: romeo, Nick: "Romeo", Role: participant, Presence: presence(t, x)})
		require.NoError(t, err)
		return mine(to, romeo)
	}
	var last mucfr.Element

	t.Run("examples 1 and 2: Romeo joins, and receives an occupant's presence", func(t *testing.T) {
		to := join(t, `<x xmlns='http://jabber.org/protocol/muc'/><presence-session xmlns="urn:xmpp:presence-session:0"/>`)
		want(t, to[0], `<presence from='orchard@chat.capulet.lit/Juliet' to='romeo@montague.lit/lane'>
			<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/></x>
			<presence-session xmlns="urn:xmpp:presence-session:0" session="$session" id="$id"/>
		</presence>`)
		last, _ = to[len(to)-1].Element()
	})
	t.Run("example 5: an annotated message", func(t *testing.T) {
		to, err := r.Say(juliet, "", payload(t, `<body>Ay me!</body>`))
		require.NoError(t, err)
		want(t, mine(to, romeo)[0], `<message to='romeo@montague.lit/lane' from='orchard@chat.capulet.lit/Juliet' type='groupchat'>
			<body>Ay me!</body>
			<presence-session xmlns="urn:xmpp:presence-session:0" session="$session" id="$id"/>
		</message>`)
	})
	t.Run("example 3: a fast rejoin", func(t *testing.T) {
		to := join(t, `<x xmlns='http://jabber.org/protocol/muc'/><presence-session xmlns="urn:xmpp:presence-session:0" session="`+last.Session+`" id="`+last.ID+`" type="resume"/>`)
		require.Len(t, to, 3, "Juliet has not changed")
		want(t, to[0], `<presence from='orchard@chat.capulet.lit/Romeo' to='romeo@montague.lit/lane'>
			<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/><status code='110'/></x>
			<presence-session xmlns="urn:xmpp:presence-session:0" session="$session" id="$id"/>
		</presence>`)
	})
	t.Run("examples 4 and 6: the room does not know the id", func(t *testing.T) {
		to := join(t, `<x xmlns='http://jabber.org/protocol/muc'/><presence-session xmlns="urn:xmpp:presence-session:0" session="u8e8t2thu" id="893oehh" type="resume"/>`)
		require.Len(t, to, 6)
		want(t, to[0], `<presence to='romeo@montague.lit/lane' from='orchard@chat.capulet.lit' type='unavailable'/>`)
		want(t, to[3], `<message to='romeo@montague.lit/lane' from='orchard@chat.capulet.lit' type='groupchat'>
			<presence-session xmlns="urn:xmpp:presence-session:0" type="truncated"/>
		</message>`)
	})
}

// canonical returns XML with its attributes in order, and without white space between
// elements.
func canonical(t *testing.T, s string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	var b strings.Builder
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return b.String()
		}
		require.NoError(t, err, s)
		switch tok := tok.(type) {
		case xml.StartElement:
			attr := make(map[string]string)
			for _, a := range tok.Attr {
				if a.Name.Local != "xmlns" {
					attr[a.Name.Local] = a.Value
				}
			}
			b.WriteString("<{" + tok.Name.Space + "}" + tok.Name.Local)
			for _, name := range []string{"affiliation", "code", "from", "id", "role", "session", "to", "type"} {
				if v, ok := attr[name]; ok {
					b.WriteString(" " + name + "=" + v)
					delete(attr, name)
				}
			}
			require.Empty(t, attr)
			b.WriteString(">")
		case xml.EndElement:
			b.WriteString("</>")
		case xml.CharData:
			b.WriteString(strings.TrimSpace(string(tok)))
		}
	}
}

func TestElement(t *testing.T) {
	for name, c := range map[string]struct {
		element mucfr.Element
		xml     string
	}{
		"to ask for it":   {mucfr.Element{}, `<presence-session xmlns="urn:xmpp:presence-session:0"></presence-session>`},
		"to resume":       {mucfr.Element{Session: "u8e8t2thu", ID: "893oehh", Type: mucfr.Resume}, `<presence-session xmlns="urn:xmpp:presence-session:0" session="u8e8t2thu" id="893oehh" type="resume"></presence-session>`},
		"of a stanza":     {mucfr.Element{Session: "u8e8t2thu", ID: "893ou22"}, `<presence-session xmlns="urn:xmpp:presence-session:0" session="u8e8t2thu" id="893ou22"></presence-session>`},
		"to say it's cut": {mucfr.Element{Type: mucfr.Truncated}, `<presence-session xmlns="urn:xmpp:presence-session:0" type="truncated"></presence-session>`},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			e := xml.NewEncoder(&b)
			_, err := c.element.WriteXML(e)
			require.NoError(t, err)
			require.NoError(t, e.Flush())
			assert.Equal(t, c.xml, b.String())
			tok, err := xml.NewDecoder(strings.NewReader(c.xml)).Token()
			require.NoError(t, err)
			read, ok := mucfr.ElementOf(tok.(xml.StartElement))
			assert.True(t, ok)
			assert.Equal(t, c.element, read)
		})
	}
	_, ok := mucfr.ElementOf(xml.StartElement{Name: xml.Name{Space: "urn:xmpp:presence-session:1", Local: "presence-session"}})
	assert.False(t, ok, "another version")
	e, ok := mucfr.ElementOf(xml.StartElement{Name: mucfr.Name(), Attr: []xml.Attr{
		{Name: xml.Name{Space: "urn:other", Local: "session"}, Value: "x"}, {Name: xml.Name{Local: "type"}, Value: "unknown"},
	}})
	assert.True(t, ok)
	assert.Zero(t, e, "MF-07")
}

func TestStrip(t *testing.T) {
	const in = `<message><body>hi</body><presence-session xmlns="urn:xmpp:presence-session:0" type="truncated"><x/></presence-session>` +
		`<x xmlns="http://jabber.org/protocol/muc#user"><invite/></x><forwarded xmlns="urn:xmpp:forward:0"><message><presence-session xmlns="urn:xmpp:presence-session:0"/></message></forwarded></message>`
	var b strings.Builder
	e := xml.NewEncoder(&b)
	_, err := xmlstream.Copy(e, mucfr.Strip(xml.NewDecoder(strings.NewReader(in))))
	require.NoError(t, err)
	require.NoError(t, e.Flush())
	assert.NotContains(t, b.String(), "truncated")
	assert.NotContains(t, b.String(), "muc#user")
	assert.Contains(t, b.String(), "<body>hi</body>")
	assert.Equal(t, 1, strings.Count(b.String(), "<presence-session"), "what is quoted stays")

	_, err = xmlstream.Copy(xmlstream.Discard(), mucfr.Strip(xml.NewDecoder(strings.NewReader(`<message><presence-session xmlns="urn:xmpp:presence-session:0">`))))
	require.Error(t, err, "cut off")
}

func TestPayload(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":                        {``, ``},
		"white space":                    {" \n ", ``},
		"text around elements":           {`x<a/>y`, `<a/>`},
		"text":                           {`<show>away</show><status>a &lt; b &amp; "c"</status>`, `<show>away</show><status>a &lt; b &amp; &#34;c&#34;</status>`},
		"namespaces where they change":   {`<c xmlns="http://jabber.org/protocol/caps" node="n"/><a xmlns="a"><b/><c xmlns="c"><d/></c></a>`, `<c xmlns="http://jabber.org/protocol/caps" node="n"/><a xmlns="a"><b/><c xmlns="c"><d/></c></a>`},
		"prefixes":                       {`<p:a xmlns:p="urn:p" p:b="1" xml:lang="en"><p:c/></p:a>`, `<a xmlns="urn:p" xml:lang="en" xmlns:p0="urn:p" p0:b="1"><c/></a>`},
		"attributes in some order":       {`<a c="1" b="2" d="3"/>`, `<a b="2" c="1" d="3"/>`},
		"the namespace of stanzas":       {`<show xmlns="jabber:client">xa</show><status xmlns="jabber:component:accept">s</status>`, `<show>xa</show><status>s</status>`},
		"it stays where it is another's": {`<f xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"><body>x</body></message></f>`, `<f xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"><body>x</body></message></f>`},
		"none within one":                {`<a xmlns="a"><b xmlns="">x</b></a>`, `<a xmlns="a"><b xmlns="">x</b></a>`},
		"MF-30: what only rooms say":     {`<x xmlns="http://jabber.org/protocol/muc#user"><y/></x><presence-session xmlns="urn:xmpp:presence-session:0"/><x xmlns="http://jabber.org/protocol/muc#admin"/><a/>`, `<a/>`},
		"an attribute twice":             {`<a b="1" b="2" xmlns:p="u" xmlns:q="u" p:c="3" q:c="4"/>`, `<a b="1" xmlns:p0="u" p0:c="3"/>`},
		"names that are none":            {`<p:0 xmlns:p="u"/><a q:-b="1" xmlns:q="u" c="2"><q:.d/></a><xml:e/>`, `<a c="2"/>`},
		"comments and the like":          {`<!-- x --><a><?y z?>b</a>`, `<a>b</a>`},
		"the end of the stanza":          {`<a/></presence><b/>`, `<a/>`},
	} {
		t.Run(name, func(t *testing.T) {
			d := xml.NewDecoder(strings.NewReader(c.in))
			if strings.Contains(c.in, "</presence>") {
				d = xml.NewDecoder(strings.NewReader("<presence>" + c.in))
				_, err := d.Token()
				require.NoError(t, err)
			}
			p, err := mucfr.ReadPayload(d)
			require.NoError(t, err)
			assert.Equal(t, c.want, p.String())
			assert.Equal(t, c.want == "", p.IsZero())
			again, err := mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(p.String())))
			require.NoError(t, err)
			assert.Equal(t, p, again)
		})
	}
	t.Run("what kind of message it is", func(t *testing.T) {
		for s, c := range map[string]struct{ body, subject bool }{
			`<body>x</body>`:                                {body: true},
			`<subject>x</subject>`:                          {subject: true},
			`<subject/>`:                                    {subject: true},
			`<subject>x</subject><body>y</body>`:            {body: true},
			`<subject>x</subject><thread>y</thread>`:        {},
			`<body xmlns="urn:other">x</body>`:              {},
			`<a xmlns="urn:other"><body>x</body></a>`:       {},
			`<body xmlns="jabber:component:accept"></body>`: {body: true},
		} {
			p := payload(t, s)
			assert.Equal(t, c.body, p.HasBody(), s)
			assert.Equal(t, c.subject, p.IsSubject(), s)
		}
	})
	t.Run("too large", func(t *testing.T) {
		for _, s := range []string{
			"<body>" + strings.Repeat("x", mucfr.MaxPayload) + "</body>",
			strings.Repeat("<a/>", mucfr.MaxPayload/4+1),
			strings.Repeat("<a>", mucfr.MaxPayload),
		} {
			_, err := mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(s)))
			require.ErrorIs(t, err, mucfr.ErrTooLarge)
		}
		_, err := mucfr.ReadPresence(xml.NewDecoder(strings.NewReader("<status>" + strings.Repeat("x", mucfr.MaxPayload) + "</status>")))
		require.ErrorIs(t, err, mucfr.ErrTooLarge)
	})
	t.Run("not well-formed", func(t *testing.T) {
		for _, s := range []string{"<a>", "<a></b>", "<a", "<presence-session xmlns='urn:xmpp:presence-session:0'>", "<x xmlns='http://jabber.org/protocol/muc'><password>"} {
			_, err := mucfr.ReadPresence(xml.NewDecoder(strings.NewReader(s)))
			require.Error(t, err, s)
		}
	})
}

func TestReadPresence(t *testing.T) {
	p := presence(t, `<show>dnd</show><x xmlns="http://jabber.org/protocol/muc"><password>open</password><history maxstanzas="7"/><x><password>no</password></x></x>`+
		`<x xmlns="http://jabber.org/protocol/muc"><password>later</password></x>`+
		`<presence-session xmlns="urn:xmpp:presence-session:0" session="s" id="i" type="resume"/><presence-session xmlns="urn:xmpp:presence-session:0"/>`)
	assert.True(t, p.MUC)
	assert.Equal(t, "open", p.Password)
	assert.Equal(t, 7, *p.History.MaxStanzas)
	assert.Equal(t, &mucfr.Element{Session: "s", ID: "i", Type: mucfr.Resume}, p.Request)
	assert.Equal(t, "<show>dnd</show>", p.Payload.String())
	assert.Equal(t, mucfr.Presence{Payload: payload(t, "<show>xa</show>")}, presence(t, "<show>xa</show>"))
}

// FuzzPresence reads a presence, lets somebody enter by it, and reads what all get.
func FuzzPresence(f *testing.F) {
	for _, s := range []string{
		optIn, enters + optIn, enters + resume(mucfr.Element{Session: "s", ID: "i"}), `<a xmlns="b" p:c="d" xmlns:p="e">f</a>`,
		`<x xmlns="http://jabber.org/protocol/muc"><password>p</password><history maxchars="0" since="2012-01-25T00:00:00Z"/></x>`,
		`<:a/>`, `<a:/>`, `<a b:="1" :c="2"/>`, "<a>\x01</a>", `<a xmlns=""/>`, `<b xmlns="x"><c xmlns=""><d xmlns="jabber:client"/></c></b>`, `<a>&#xFFFE;</a>`, `<xml:a/>`, `<xmlns:a xmlns:b="c"/>`,
	} {
		f.Add(s, "Romeo")
	}
	f.Fuzz(func(t *testing.T, s, nick string) {
		r := newRoom(t, mucfr.Options{AnnotateAll: true})
		r.enter("juliet", "Juliet", moderator, optIn)
		p, err := mucfr.ReadPresence(xml.NewDecoder(strings.NewReader(s)))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(p.Payload.String()), mucfr.MaxPayload)
		to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: nick, Role: participant, Presence: p})
		if err != nil {
			return
		}
		words(t, to, full("romeo"))
		words(t, to, full("juliet"))
		to, err = r.Say(full("romeo"), nick, p.Payload)
		require.NoError(t, err)
		words(t, to, full("juliet"))
		to, err = r.Leave(full("romeo"), p.Payload, 333)
		require.NoError(t, err)
		words(t, to, full("juliet"))
	})
}
