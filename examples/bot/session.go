// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"encoding/xml"
	"errors"
	"log"
	"slices"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/quickstart"
)

const (
	// answerTime is how long a room may take to let the bot in.
	answerTime = 30 * time.Second

	// roomWait is how long the bot waits before it asks a room again.
	roomWait = 10 * time.Second
)

// A bot is what outlives sessions.
type bot struct {
	state         *state
	messages, log *log.Logger
}

// handle handles one session.
//
// The archive has every message once and in order, so that is what the bot prints. What
// comes live, or is a copy of what another client has sent or received, only says that
// it is worth asking the archive. (Who cannot wait for that holds live messages back by a
// mam.Gate until the archive was read, and handles them as they come from then on.)
func (b *bot) handle(ctx context.Context, s *quickstart.Session) error {
	b.log.Print(s.Report)
	var (
		archive = new(mam.Client)
		news    = newFlag()
		left    = newFlag()
		rooms   = &mucfr.Client{Changed: func(_ *mucfr.Occupancy, c mucfr.Change) {
			switch c.Kind {
			case mucfr.HistoryTruncated:
				b.log.Print("the room does not have all that was missed")
			case mucfr.RoomLeft:
				if slices.Contains(c.Codes, mucfr.StatusShutdown) || slices.Contains(c.Codes, mucfr.StatusError) {
					left.raise() // Nothing may be waited for here.
				}
			}
		}}
		body  = xml.Name{Local: "body"}
		heard = func(stanza.Message, xmlstream.TokenReadEncoder) error {
			news.raise()
			return nil
		}
	)
	m := mux.New(stanza.NSClient,
		mam.HandleClient(archive),
		carbons.HandleClient(&carbons.Client{
			Account: s.LocalAddr().Bare(),
			Copied:  func(carbons.Copy) { news.raise() },
		}),
		mux.MessageFunc(stanza.ChatMessage, body, heard),
		mux.MessageFunc(stanza.NormalMessage, body, heard),
		mux.MessageFunc(stanza.GroupChatMessage, body, func(_ stanza.Message, t xmlstream.TokenReadEncoder) error {
			b.print(t)
			return b.state.save() // With where to resume in the room.
		}),
	)
	served := make(chan error, 1)
	go func() { served <- s.Serve(rooms.Handler(m)) }() // This ends ctx when it returns.

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var inside sync.WaitGroup
	inside.Go(func() { b.stay(ctx, s, rooms, left) })
	err := b.follow(ctx, s, archive, news)
	if ctx.Err() != nil {
		err = <-served // Why the session has ended.
	}
	cancel()
	inside.Wait()
	b.state.room.Lost()
	return errors.Join(err, b.state.save())
}

// follow prints what the archive has that is new, until the context ends.
func (b *bot) follow(ctx context.Context, s *quickstart.Session, archive *mam.Client, news raised) error {
	if err := s.Roster.Wait(ctx); err != nil {
		b.log.Print(err) // There are servers without rosters.
	}
	b.log.Printf("%d contacts", len(s.Roster.Items()))
	for {
		// The place is where the bot has come to, also if there is an error.
		place, err := archive.CatchUp(ctx, s.Session, jid.JID{}, mam.Query{}, b.state.place, "", func(r mam.Result) error {
			b.print(r.TokenReader())
			return nil
		})
		if err := errors.Join(err, b.state.move(place)); err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stay stays in the room, if there is one, until the context ends.
func (b *bot) stay(ctx context.Context, s *quickstart.Session, rooms *mucfr.Client, left raised) {
	if b.state.room.Address().Equal(jid.JID{}) {
		return
	}
	for {
		if err := b.enter(ctx, s, rooms); err != nil {
			b.log.Print(err)
			if errors.As(err, new(stanza.Error)) {
				return // It is not wanted there.
			}
		} else {
			select {
			case <-left:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(roomWait): // Its service may be started again.
		case <-ctx.Done():
			return
		}
	}
}

// enter enters the room, for the first time or again.
func (b *bot) enter(ctx context.Context, s *quickstart.Session, rooms *mucfr.Client) error {
	room := b.state.room
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := rooms.Join(ctx, s.Session, room, mucfr.JoinOptions{}); err != nil {
		return err
	}
	for o := range room.Occupants() {
		b.log.Printf("in the room: %s", o.Nick)
	}
	if slices.Contains(room.Codes(), mucfr.StatusCreated) {
		// Nobody else gets in before that.
		return muc.SetConfig(ctx, room.Address().Bare(), form.New(), s.Session)
	}
	return nil
}

// print prints a message.
func (b *bot) print(r xml.TokenReader) {
	var m struct {
		stanza.Message
		Body string `xml:"body"`
	}
	if err := xml.NewTokenDecoder(r).Decode(&m); err != nil {
		b.log.Printf("a message cannot be read: %v", err)
		return
	}
	if m.Body != "" {
		who := m.From.Bare()
		if m.Type == stanza.GroupChatMessage {
			who = m.From
		}
		b.messages.Printf("%v: %s", who, m.Body)
	}
}

// A raised flag is received from, once for however often it was raised.
type raised chan struct{}

func newFlag() raised { return make(raised, 1) }

func (r raised) raise() {
	select {
	case r <- struct{}{}:
	default:
	}
}
