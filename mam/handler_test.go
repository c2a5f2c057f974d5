// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

func TestQuery(t *testing.T) {
	archive := new(mam.Memory)
	items := stock(t, archive, juliet, 10)
	h := &mam.Handler{Archive: archive, Account: juliet}
	id := func(n int) string { return items[n-1].ID }

	for _, test := range []struct {
		rule  string
		query string
		want  string
		err   string
		all   bool // the page is complete
	}{
		{"MA-17 MA-26 D-25 everything, without a form, and as the first request", "", "1 2 3 4 5 6 7 8 9 10", "", true},
		{"MA-13 first page", set("<max>3</max>"), "1 2 3", "", false},
		{"RS-05 next page", set("<max>3</max><after>" + id(3) + "</after>"), "4 5 6", "", false},
		{"RS-05 previous page", set("<max>3</max><before>" + id(3) + "</before>"), "1 2", "", true},
		{"RS-05 previous page, cut", set("<max>2</max><before>" + id(5) + "</before>"), "3 4", "", false},
		{"MA-33 last page", set("<max>2</max><before/>"), "9 10", "", false},
		{"MA-34 flipped", "<flip-page/>" + set("<max>3</max>"), "3 2 1", "", false},
		{"MA-34 last page flipped", "<flip-page/>" + set("<max>2</max><before/>"), "10 9", "", false},
		{"MA-31 exactly to the end", set("<max>5</max><after>" + id(5) + "</after>"), "6 7 8 9 10", "", true},
		{"RS-10 index", set("<max>2</max><index>4</index>"), "5 6", "", false},
		{"RS-10 index beyond the end", set("<max>2</max><index>10</index>"), "", "", true},
		{"MA-18 with", form("with=romeo@montague.lit"), "1 2 3 4 5 6 7 8 9 10", "", true},
		{"MA-18 with a resource", form("with=romeo@montague.lit/orchard"), "1 2 3 4 5 6 7 8 9 10", "", true},
		{"MA-18 with another resource", form("with=romeo@montague.lit/garden"), "", "", true},
		{"MA-19 with oneself", form("with=juliet@capulet.lit"), "", "", true},
		{"MA-20 start and end", form("start=2010-07-10T23:10:25Z", "end=2010-07-10T23:12:25Z"), "3 4 5", "", true},
		{"MA-20 zone", form("start=2010-07-11T01:16:25+02:00"), "9 10", "", true},
		{"MA-21 after and before", form("after-id="+id(3), "before-id="+id(7)), "4 5 6", "", true},
		{"MA-21 with a page", form("after-id="+id(3), "before-id="+id(7)) + set("<max>1</max><before/>"), "6", "", false},
		{"MA-22 ids", form("ids=" + id(7) + "|" + id(2)), "2 7", "", true},
		{"MA-22 D-25 ids, in pages", form("ids="+id(7)+"|"+id(2)+"|"+id(4)) + set("<max>2</max>"), "2 4", "", false},
		{"MA-22 ids, with space around", form("ids= " + id(7) + "\n"), "7", "", true},
		{"RS-12 a set of which nothing is known", set("<unknown/>"), "1 2 3 4 5 6 7 8 9 10", "", true},
		{"RS-12 elements that are not known", "<unknown/><set xmlns='urn:example'><max>1</max></set>", "1 2 3 4 5 6 7 8 9 10", "", true},
		{"AA-08 crossed", form("after-id="+id(7), "before-id="+id(3)), "", "", true},

		{"MA-14 without a type", `<x xmlns="jabber:x:data" type="submit"><field var="with"><value>a@b</value></field></x>`, "", "bad-request", false},
		{"AA-05 another type", `<x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE"><value>urn:xmpp:mam:1</value></field></x>`, "", "bad-request", false},
		{"AA-05 two types", `<x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE"><value>urn:xmpp:mam:2</value><value>urn:xmpp:mam:2</value></field></x>`, "", "bad-request", false},
		{"AA-05 a result", `<x xmlns="jabber:x:data" type="result"><field var="FORM_TYPE"><value>urn:xmpp:mam:2</value></field></x>`, "", "bad-request", false},
		{"AA-05 two forms", form() + form(), "", "bad-request", false},
		{"AA-05 a field twice", form("with=a@b", "with=a@b"), "", "bad-request", false},
		{"MA-27 unknown field", form("foo=1"), "", "feature-not-implemented", false},
		{"AA-06 start", form("start=2020-13-40"), "", "bad-request", false},
		{"AA-06 MA-20 a time without a zone", form("start=2010-07-10T23:10:25"), "", "bad-request", false},
		{"AA-06 MA-20 a day", form("end=2010-07-10"), "", "bad-request", false},
		{"AA-06 a year that does not exist", form("start=0000-01-01T00:00:00Z"), "", "bad-request", false},
		{"AA-06 a year behind the last", form("end=9999-12-31T23:59:59-14:00"), "", "bad-request", false},
		{"AA-20 with that is SQL", form("with=' OR '1'='1"), "", "bad-request", false},
		{"AA-20 with that is a pattern", form("with=%@montague.lit"), "", "", true},
		{"AA-20 an id that is SQL", form("ids=' OR 1=1 --"), "", "item-not-found", false},
		{"AA-06 with", form("with=@@"), "", "bad-request", false},
		{"AA-07 RS-01 max that is no number", set("<max>many</max>"), "", "bad-request", false},
		{"AA-07 max below zero", set("<max>-1</max>"), "", "bad-request", false},
		{"AA-07 max of a hundred digits", set("<max>1" + zeros(99) + "</max>"), "", "bad-request", false},
		{"AA-07 max of 2^31", set("<max>2147483648</max>"), "1 2 3 4 5 6 7 8 9 10", "", true},
		{"AA-07 max with space", set("<max> 5 </max>"), "1 2 3 4 5", "", false},
		{"AA-08 after and before of the page", set("<after>" + id(1) + "</after><before>" + id(3) + "</before>"), "", "bad-request", false},
		{"MA-23 unknown id behind", form("after-id=unknown"), "", "item-not-found", false},
		{"MA-23 unknown id before", form("before-id=unknown"), "", "item-not-found", false},
		{"MA-23 AA-09 unknown id among others", form("ids=" + id(1) + "|unknown"), "", "item-not-found", false},
		{"MA-23 unknown cursor", set("<after>unknown</after>"), "", "item-not-found", false},
		{"AA-20 a cursor that is SQL", set("<before>' OR 1=1 --</before>"), "", "item-not-found", false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			a := read(ask(t, h, query(test.query)))
			assert.Equal(t, test.err, a.Err)
			assert.Equal(t, test.want, bodies(a))
			assert.Equal(t, test.all, a.Complete)
		})
	}

	t.Run("AA-09 AA-17 requests have a limit", func(t *testing.T) {
		ids := make([]string, 1001)
		for i := range ids {
			ids[i] = "x"
		}
		assert.Equal(t, "policy-violation", read(ask(t, h, query(form("ids="+strings.Join(ids, "|"))))).Err)
		assert.Equal(t, "policy-violation", read(ask(t, h, query(strings.Repeat("<x/>", 20_000)))).Err)
		prefs := func(list string) string {
			return `<iq xmlns="jabber:client" type="set" id="p"><prefs xmlns="urn:xmpp:mam:2" default="always"><always>` + list + `</always></prefs></iq>`
		}
		assert.Equal(t, "policy-violation", read(ask(t, h, prefs(strings.Repeat("<jid>a@b</jid>", 1001)))).Err)
		assert.Equal(t, "policy-violation", read(ask(t, h, prefs(strings.Repeat("<jid>a@b</jid>", 100_000)))).Err)
		assert.Equal(t, "jid-malformed", read(ask(t, h, prefs("<jid>@@</jid>"))).Err)
		assert.Empty(t, read(ask(t, h, prefs(strings.Repeat("<jid>a@b</jid>", 1000)))).Err)
	})
	t.Run("RS-02 the ends of a page", func(t *testing.T) {
		a := read(ask(t, h, query(set("<max>3</max><after>"+id(3)+"</after>"))))
		assert.Equal(t, answer{Bodies: []string{"4", "5", "6"}, IDs: []string{id(4), id(5), id(6)}, First: id(4), Last: id(6), Index: "3", Count: "10"}, a)
		a = read(ask(t, h, query("<flip-page/>"+set("<max>3</max><after>"+id(3)+"</after>"))))
		assert.Equal(t, []string{id(4), id(6)}, []string{a.First, a.Last}, "those of a flipped page are the same")
	})
	t.Run("MA-10 RS-08 RS-02 an archive with nothing in it", func(t *testing.T) {
		out := ask(t, &mam.Handler{Archive: new(mam.Memory), Account: juliet}, query(""))
		assert.Contains(t, out, `<fin xmlns="urn:xmpp:mam:2" complete="true"><set xmlns="http://jabber.org/protocol/rsm"><count>0</count></set></fin>`)
	})
	t.Run("MA-10 RS-02 a page with nothing on it", func(t *testing.T) {
		out := ask(t, h, query(form("with=nobody@capulet.lit")))
		assert.Contains(t, out, `<set xmlns="http://jabber.org/protocol/rsm">`)
		assert.NotContains(t, out, "<first")
		assert.NotContains(t, out, "<last")
	})
	t.Run("MA-10 RS-02 one item", func(t *testing.T) {
		a := read(ask(t, h, query(set("<max>1</max>"))))
		assert.Equal(t, []string{id(1), id(1)}, []string{a.First, a.Last})
	})
	t.Run("RS-04 the last page", func(t *testing.T) {
		a := read(ask(t, h, query(set("<max>3</max><before/>"))))
		assert.Equal(t, []string{"7", "10"}, []string{a.Index, a.Count})
	})
	t.Run("MA-13 MA-30 pages of which nothing is remembered", func(t *testing.T) {
		var all []string
		after := ""
		for range 4 {
			// Each is answered by another handler.
			a := read(ask(t, &mam.Handler{Archive: archive, Account: juliet}, query(set("<max>3</max>"+after))))
			all = append(all, a.Bodies...)
			after = "<after>" + a.Last + "</after>"
		}
		assert.Equal(t, numbers(1, 10), all)
	})
	t.Run("MA-32 an archive that may answer in another way", func(t *testing.T) {
		assert.NotContains(t, ask(t, h, query("")), "stable")
		assert.Contains(t, ask(t, &mam.Handler{Archive: unstable{archive}, Account: juliet}, query("")), `<fin xmlns="urn:xmpp:mam:2" complete="true" stable="false">`)
	})
	t.Run("MA-05 MA-47 an account's archive has its bare address", func(t *testing.T) {
		for to, want := range map[string]int{"juliet@capulet.lit": 10, "JULIET@capulet.LIT": 10, "juliet@capulet.lit/chamber": 0, "capulet.lit": 0} {
			out := ask(t, h, `<iq xmlns="jabber:client" type="set" id="q" from="juliet@capulet.lit/chamber" to="`+to+`"><query xmlns="urn:xmpp:mam:2"/></iq>`)
			assert.Len(t, read(out).IDs, want, to)
		}
	})
	t.Run("AA-10 an id of another archive", func(t *testing.T) {
		theirs := stock(t, archive, romeo.Bare(), 1)[0].ID
		known, unknown := ask(t, h, query(form("ids="+theirs))), ask(t, h, query(form("ids="+strings.Repeat("x", len(theirs)))))
		assert.Equal(t, "item-not-found", read(known).Err)
		assert.Equal(t, unknown, known, "nothing tells them apart")
	})
	t.Run("MA-19 with oneself, who has written to herself", func(t *testing.T) {
		notes := new(mam.Memory)
		stock(t, notes, juliet, 5)
		c, raw := content(t, `<message xmlns="jabber:client" type="chat" from="juliet@capulet.lit/chamber" to="juliet@capulet.lit"><body>note</body></message>`)
		_, err := notes.Append(t.Context(), juliet, c.ForArchive(juliet, raw))
		require.NoError(t, err)
		stock(t, notes, juliet, 4)
		assert.Equal(t, "note", bodies(read(ask(t, &mam.Handler{Archive: notes, Account: juliet}, query(form("with=juliet@capulet.lit"))))))
	})
	t.Run("MA-04 AA-15 what is left of a message, or cannot be read", func(t *testing.T) {
		rest := new(mam.Memory)
		for _, x := range []string{"", "text", "<message", "<iq/>", "<message/><message/>", `<message xmlns="jabber:client"/>`} {
			_, err := rest.Append(t.Context(), juliet, mam.Message{With: romeo, Stamp: epoch, XML: []byte(x)})
			require.NoError(t, err)
		}
		out := ask(t, &mam.Handler{Archive: rest, Account: juliet}, query(""))
		assert.Len(t, read(out).IDs, 6, "each has its id")
		assert.Equal(t, 5, strings.Count(out, `stamp="2010-07-10T23:08:25Z"></delay></forwarded>`), "and its time, without a message")
	})
	t.Run("RS-09 only the count", func(t *testing.T) {
		a := read(ask(t, h, query(set("<max>0</max>"))))
		assert.Equal(t, "10", a.Count)
		assert.Empty(t, a.IDs)
		assert.Empty(t, a.First)
	})
	t.Run("MA-28 pages have a limit", func(t *testing.T) {
		small := &mam.Handler{Archive: archive, Account: juliet, PageSize: 2, MaxPageSize: 4}
		assert.Equal(t, "1 2", bodies(read(ask(t, small, query("")))))
		assert.Equal(t, "1 2 3 4", bodies(read(ask(t, small, query(set("<max>9</max>"))))))
	})
}

// unstable is an archive of which nobody can be sure.
type unstable struct{ mam.Archive }

func (u unstable) Query(ctx context.Context, archive jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	page, err := u.Archive.Query(ctx, archive, q, yield)
	page.Unstable = true
	return page, err
}

func zeros(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0'
	}
	return string(b)
}

// TestWire asserts what is on the wire.
func TestWire(t *testing.T) {
	archive := new(mam.Memory)
	item := stock(t, archive, juliet, 1)[0]
	h := &mam.Handler{Archive: archive, Account: juliet}

	t.Run("MA-09 MA-11 MA-12 a result and the end", func(t *testing.T) {
		want := `<message xmlns="jabber:client" to="juliet@capulet.lit/chamber"><result xmlns="urn:xmpp:mam:2" id="` + item.ID + `" queryid="f27">` +
			`<forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2010-07-10T23:08:25Z"></delay>` +
			`<message xmlns="jabber:client" from="romeo@montague.lit/orchard" to="juliet@capulet.lit" type="chat" id="m1"><body xmlns="jabber:client">1</body></message>` +
			`</forwarded></result></message>` +
			`<iq xmlns="jabber:client" type="result" to="juliet@capulet.lit/chamber" id="q"><fin xmlns="urn:xmpp:mam:2" complete="true">` +
			`<set xmlns="http://jabber.org/protocol/rsm"><first index="0">` + item.ID + `</first><last>` + item.ID + `</last><count>1</count></set></fin></iq>`
		assert.Equal(t, want, ask(t, h, query("")))
	})
	t.Run("MA-11 without a queryid", func(t *testing.T) {
		assert.NotContains(t, ask(t, h, `<iq xmlns="jabber:client" type="set" id="q"><query xmlns="urn:xmpp:mam:2"/></iq>`), "queryid")
	})
	t.Run("MA-15 MA-25 the form", func(t *testing.T) {
		want := `<iq xmlns="jabber:client" type="result" id="f"><query xmlns="urn:xmpp:mam:2"><x xmlns="jabber:x:data" type="form">` +
			`<field var="FORM_TYPE" type="hidden"><value>urn:xmpp:mam:2</value></field>` +
			`<field var="with" type="jid-single"></field><field var="start" type="text-single"></field><field var="end" type="text-single"></field>` +
			`<field var="before-id" type="text-single"></field><field var="after-id" type="text-single"></field>` +
			`<field var="ids" type="list-multi"><validate xmlns="http://jabber.org/protocol/xdata-validate" datatype="xs:string"><open></open></validate></field>` +
			`<field var="include-groupchat" type="boolean"></field>` +
			`</x></query></iq>`
		assert.Equal(t, want, ask(t, h, `<iq xmlns="jabber:client" type="get" id="f"><query xmlns="urn:xmpp:mam:2"/></iq>`))
	})
	t.Run("MA-35 metadata", func(t *testing.T) {
		const get = `<iq xmlns="jabber:client" type="get" id="m"><metadata xmlns="urn:xmpp:mam:2"/></iq>`
		assert.Equal(t, `<iq xmlns="jabber:client" type="result" id="m"><metadata xmlns="urn:xmpp:mam:2">`+
			`<start id="`+item.ID+`" timestamp="2010-07-10T23:08:25Z"></start><end id="`+item.ID+`" timestamp="2010-07-10T23:08:25Z"></end></metadata></iq>`, ask(t, h, get))
		empty := &mam.Handler{Archive: new(mam.Memory), Account: juliet}
		assert.Equal(t, `<iq xmlns="jabber:client" type="result" id="m"><metadata xmlns="urn:xmpp:mam:2"></metadata></iq>`, ask(t, empty, get))
	})
	t.Run("PR-01 PR-02 PR-05 preferences", func(t *testing.T) {
		const get = `<iq xmlns="jabber:client" type="get" id="p"><prefs xmlns="urn:xmpp:mam:2"/></iq>`
		set := func(prefs string) string {
			return `<iq xmlns="jabber:client" type="set" id="p">` + prefs + `</iq>`
		}
		result := func(def, always, never string) string {
			return `<iq xmlns="jabber:client" type="result" id="p"><prefs xmlns="urn:xmpp:mam:2" default="` + def + `"><always>` + always + `</always><never>` + never + `</never></prefs></iq>`
		}
		assert.Equal(t, result("always", "", ""), ask(t, h, get))
		assert.Equal(t, result("roster", "<jid>romeo@montague.lit</jid>", "<jid>montague@montague.lit</jid>"),
			ask(t, h, set(`<prefs xmlns="urn:xmpp:mam:2" default="roster"><always><jid>romeo@montague.lit</jid></always><never><jid>montague@montague.lit</jid></never></prefs>`)))
		assert.Equal(t, "bad-request", read(ask(t, h, set(`<prefs xmlns="urn:xmpp:mam:2" default="sometimes"/>`))).Err)
		assert.Contains(t, ask(t, h, get), "montague@montague.lit", "PR-04 what is refused changes nothing")
		assert.Equal(t, result("never", "", ""), ask(t, h, set(`<prefs xmlns="urn:xmpp:mam:2" default="never"/>`)))
	})
	t.Run("MA-47 AA-04 other people's archives", func(t *testing.T) {
		for _, to := range []string{"romeo@montague.lit", "nobody@capulet.lit", "capulet.lit", "juliet@capulet.lit/chamber"} {
			for _, payload := range []string{`<query xmlns="urn:xmpp:mam:2"/>`, `<prefs xmlns="urn:xmpp:mam:2" default="never"/>`} {
				out := ask(t, h, `<iq xmlns="jabber:client" type="set" id="q" from="juliet@capulet.lit/chamber" to="`+to+`">`+payload+`</iq>`)
				assert.Equal(t, "forbidden", read(out).Err, out)
			}
		}
	})
}
