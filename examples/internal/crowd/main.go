// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Crowd makes rooms full of people, for examples/mucroom to begin with: the people of a
// large room cannot enter one by one, as each hears of each other.
//
//	go run ./internal/crowd -data directory -occupants 9999 -domain crowd.example r1@rooms.example
//
// The occupants are u0, u1 and so on, of clients u0@crowd.example/phone and so on. For each
// room it prints the session and the id of the last stanza that all of them would have been
// sent, with a space between them.
package main

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrsqlite"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

// A crowd is who is to be in a room.
type crowd struct {
	occupants int
	domain    string
	payload   mucfr.Payload
}

func run(ctx context.Context, args []string, w io.Writer) (err error) {
	var c crowd
	var dir, payload string
	flags := flag.NewFlagSet("crowd", flag.ContinueOnError)
	flags.StringVar(&dir, "data", "", "the directory that mucroom is to begin with")
	flags.IntVar(&c.occupants, "occupants", 1, "how many are in each room")
	flags.StringVar(&c.domain, "domain", "crowd.example", "their domain")
	flags.StringVar(&payload, "presence", "", "what is in their presences, as XML")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.payload, err = mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(payload))); err != nil {
		return err
	}
	if c.occupants < 1 {
		return errors.New("a crowd is somebody at least")
	}
	records := filepath.Join(dir, "rooms")
	if err := os.MkdirAll(records, 0o700); err != nil {
		return err
	}
	store, err := mucfrsqlite.Open(ctx, filepath.Join(dir, "rooms.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for _, name := range flags.Args() {
		room, err := jid.Parse(name)
		if err != nil {
			return err
		}
		at, err := c.enter(ctx, room, store)
		if err != nil {
			return err
		}
		config := groupchat.DefaultConfig()
		config.MaxUsers = c.occupants + 1
		if err := groupchat.Dir(records).Put(ctx, groupchat.Record{
			Room: room, Config: config,
			Affiliations: map[string]muc.Affiliation{"u0@" + c.domain: muc.AffiliationOwner},
		}); err != nil {
			return err
		}
		fmt.Fprintln(w, at.Session, at.ID)
	}
	return nil
}

// enter makes a room and fills it. It returns the last annotation.
func (c crowd) enter(ctx context.Context, room jid.JID, store mucfr.Store) (last mucfr.Element, err error) {
	r, err := mucfr.OpenRoom(ctx, room, mucfr.Options{Config: mucfr.Config{History: mucfr.DefaultHistory}}, store)
	if err != nil {
		return last, err
	}
	var said []mucfr.Stanza
	for i := range c.occupants {
		full, err := jid.New(fmt.Sprint("u", i), c.domain, "phone")
		if err != nil {
			return last, err
		}
		j := mucfr.Join{
			JID: full, Nick: fmt.Sprint("u", i), Role: muc.RoleParticipant,
			Presence: mucfr.Presence{MUC: true, Request: new(mucfr.Element), Payload: c.payload},
		}
		if i == 0 {
			j.Affiliation, j.Role = muc.AffiliationOwner, muc.RoleModerator
		}
		if said, err = r.Join(j); err != nil {
			return last, err
		}
	}
	last, ok := said[0].Element() // That of the last one's arrival, to another.
	if !ok {
		return last, errors.New("the last stanza is not annotated")
	}
	return last, r.Close(ctx)
}
