// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// fuzzSep is between keys and values.
const fuzzSep = "\x1e"

var (
	fuzzRoom   = jid.MustParse("coven@chat.example")
	fuzzClient = jid.MustParse("user1@example.net/client")
)

// FuzzStored opens rooms of which anything may be stored: data is keys and values, and n
// takes the place of a number in them. What cannot be understood is
// ErrCorrupt; if not, it is a room that works and can be opened again.
func FuzzStored(f *testing.F) {
	const unchanged = uint(math.MaxUint)
	for _, closed := range []bool{true, false} {
		data, id := storedRoom(f, closed)
		f.Add(data, id, unchanged, uint64(0))
		for _, change := range [][2]string{
			{`"head":`, `"head":9`}, {`"head":`, `"head":18446744073709551615,"x":`}, {`"end":0`, `"end":18446744073709551615`}, {`"runs":[`, `"runs":[{"key":"AAAA","end":0},`},
			{`"nick":"h`, `"nick":"`}, {`\u003cbody\u003e`, `\u003cxml:a/\u003e\u003cp:1/\u003e\u003cp:々/\u003e\u003cbody a='1' a='2' p:b='' p:b='' p:々='' \u003e`}, {`"joined":`, `"joined":1`}, {`Z"`, `+14:00"`}, {`"time":"2`, `"time":"9`},
			{`"gone":0`, `"gone":2`}, {`"said":0`, `"said":2`}, {`"version":1`, `"version":2`}, {`occupant/`, `visit/`}, {`"role":"participant"`, `"role":""`},
		} {
			f.Add(strings.ReplaceAll(data, change[0], change[1]), id, unchanged, uint64(0))
		}
	}
	f.Add("", "", unchanged, uint64(0))
	numbers := regexp.MustCompile(`:\d+\b`)
	f.Fuzz(func(t *testing.T, data, id string, which uint, n uint64) {
		if len(data) > 1<<16 {
			return
		}
		// One of the numbers is another one.
		if at := numbers.FindAllStringIndex(data, -1); which < uint(len(at)) {
			data = data[:at[which][0]] + fmt.Sprint(":", n) + data[at[which][1]:]
		}
		var (
			ctx     = t.Context()
			store   mucfr.Memory
			entries []mucfr.Entry
		)
		parts := strings.Split(data, fuzzSep)
		for i := 0; i+1 < len(parts); i += 2 {
			entries = append(entries, mucfr.Entry{Key: parts[i], Value: []byte(parts[i+1])})
		}
		require.NoError(t, store.Save(ctx, fuzzRoom, entries))
		room, err := mucfr.OpenRoom(ctx, fuzzRoom, mucfr.Options{}, &store)
		if err != nil {
			require.ErrorIs(t, err, mucfr.ErrCorrupt)
			return
		}
		useRoom(t, room, id)
		require.NoError(t, room.Close(ctx))
		again, err := mucfr.OpenRoom(ctx, fuzzRoom, mucfr.Options{}, &store)
		require.NoError(t, err, "after it was closed")
		require.Equal(t, room.Len(), again.Len())
		useRoom(t, again, id)
	})
}

// storedRoom returns what is stored of a room in which all kinds of things have
// happened, and an id that somebody has who was in it.
func storedRoom(f *testing.F, closed bool) (data, id string) {
	ctx := context.Background()
	var store mucfr.Memory
	room, err := mucfr.OpenRoom(ctx, fuzzRoom, mucfr.Options{}, &store)
	require.NoError(f, err)
	must := func(all []mucfr.Stanza, err error) {
		require.NoError(f, err)
		for _, s := range all {
			if e, ok := s.Element(); ok && s.To.Equal(fuzzClient) {
				id = e.ID
			}
		}
	}
	for i := range 4 {
		full, err := jid.Parse(fmt.Sprintf("user%d@example.net/client", i))
		require.NoError(f, err)
		must(room.Join(mucfr.Join{
			JID: full, Nick: fmt.Sprint("hag", i), Role: muc.RoleParticipant,
			Presence: mucfr.Presence{MUC: true, Request: new(mucfr.Element), Payload: payload(f, "<show>away</show>")},
		}))
	}
	must(room.Say(fuzzClient, "id", payload(f, "<body>one</body><x xmlns='u' xml:lang='en'/>")))
	must(room.Say(fuzzClient, "id", payload(f, "<subject>two</subject>")))
	must(room.Remove("hag2", muc.AffiliationOutcast, mucfr.Why{Codes: []int{mucfr.StatusBanned}}))
	must(room.Rename(jid.MustParse("user3@example.net/client"), "crone"))
	if closed {
		err = room.Close(ctx)
	} else {
		err = room.Save()(ctx)
	}
	require.NoError(f, err)
	entries, err := store.Load(ctx, fuzzRoom)
	require.NoError(f, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Key, string(e.Value))
	}
	return strings.Join(all, fuzzSep), id
}

// useRoom does all kinds of things in a room, and checks what it sends.
func useRoom(t *testing.T, room *mucfr.Room, id string) {
	stranger, other := jid.MustParse("stranger@example.net/client"), jid.MustParse("user1@example.net/other")
	check := func(all []mucfr.Stanza, err error, expected ...error) {
		t.Helper()
		if err != nil {
			require.True(t, slices.ContainsFunc(expected, func(e error) bool { return errors.Is(err, e) }), "%v", err)
		}
		for _, s := range all {
			b := s.AppendXML(nil)
			require.NoError(t, wellFormed(b), "%s", b)
		}
	}
	resume := mucfr.Element{Session: room.Session(), ID: id, Type: mucfr.Resume}
	for _, j := range []mucfr.Join{
		{JID: fuzzClient, Nick: "hag1", Role: muc.RoleParticipant, Presence: mucfr.Presence{Request: &resume}},
		{JID: other, Nick: "hag1", Role: muc.RoleModerator, Presence: mucfr.Presence{Request: new(mucfr.Element)}},
		{JID: stranger, Nick: "stranger", Role: muc.RoleVisitor},
	} {
		all, err := room.Join(j)
		check(all, err, mucfr.ErrConflict, mucfr.ErrInside)
	}
	said, err := room.Say(stranger, "id", payload(t, "<body>three</body>"))
	check(said, err, mucfr.ErrNotInside)
	said, err = room.Say(jid.JID{}, "id", payload(t, "<body>four</body>"))
	check(said, err)
	renamed, err := room.Rename(fuzzClient, "thane")
	check(renamed, err, mucfr.ErrConflict, mucfr.ErrNotInside)
	updated, err := room.Update(stranger, payload(t, "<show>xa</show>"))
	check(updated, err, mucfr.ErrNotInside)
	cfg := room.Config()
	cfg.NonAnonymous = !cfg.NonAnonymous
	check(room.Configure(cfg), nil)
	n := 0
	for _, o := range slices.Collect(room.Occupants()) {
		n++
		require.NotEmpty(t, o.JIDs)
		of, ok := room.Client(o.JIDs[0])
		require.True(t, ok)
		require.Equal(t, o.Nick, of.Nick)
		set, err := room.Set(o.Nick, muc.AffiliationMember, muc.RoleParticipant, mucfr.Why{})
		check(set, err)
	}
	require.Equal(t, room.Len(), n)
	left, err := room.Leave(stranger, mucfr.Payload{})
	check(left, err, mucfr.ErrNotInside)
	removed, err := room.Remove("hag0", muc.AffiliationNone, mucfr.Why{Reason: "enough"})
	check(removed, err, mucfr.ErrNotInside)
}

// wellFormed checks that a stanza is XML that any server takes, which ends the stream
// if not: with namespaces, as the decoder of the standard library does not check it.
func wellFormed(b []byte) error {
	d := xml.NewDecoder(strings.NewReader(string(b)))
	elements := 0
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if elements++; elements == 1 && start.Name.Local != "presence" && start.Name.Local != "message" {
			return errors.New("it is no stanza")
		}
		if err := checkName(start.Name); err != nil {
			return err
		}
		seen := make(map[xml.Name]bool)
		for _, a := range start.Attr {
			switch {
			case seen[a.Name]:
				return fmt.Errorf("attribute %q twice", a.Name.Local)
			case a.Name.Space == "xmlns" || a.Name.Local == "xmlns":
				if a.Value == "http://www.w3.org/2000/xmlns/" || a.Value == "http://www.w3.org/XML/1998/namespace" {
					return fmt.Errorf("%s cannot be declared", a.Value)
				}
				if a.Value == "" && a.Name.Space != "" {
					return errors.New("a prefix without a namespace")
				}
			default:
				if err := checkName(a.Name); err != nil {
					return err
				}
			}
			seen[a.Name] = true
		}
	}
	if elements == 0 {
		return errors.New("nothing")
	}
	return nil
}

// checkName checks the part of a name behind the prefix, which has to be a name, too.
func checkName(name xml.Name) error {
	if strings.Contains(name.Local, ":") {
		return fmt.Errorf("%q has several colons", name.Local)
	}
	return xml.Unmarshal([]byte("<"+name.Local+"/>"), new(struct{}))
}
