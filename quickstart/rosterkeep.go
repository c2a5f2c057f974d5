// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

const (
	// rosterVersion changes with the form of what is kept. Others are not understood.
	rosterVersion = 1

	// maxKeptRoster bounds what is put into a cache, so that it does not drive out what
	// logins need: half of what caches hold unless they are told otherwise, which is
	// some thousand contacts.
	maxKeptRoster = DefaultMaxBytes / 2

	// keepTime is how long a cache may take, which the session waits for.
	keepTime = 5 * time.Second
)

// keptRoster is how a roster is kept: as one value, so that there is never a version
// with items that it is not of.
type keptRoster struct {
	Form    int        `json:"form"`
	Version string     `json:"ver"`
	Items   []keptItem `json:"items"`
}

type keptItem struct {
	JID          string   `json:"jid"`
	Name         string   `json:"name,omitempty"`
	Subscription string   `json:"sub"`
	Ask          bool     `json:"ask,omitempty"`
	Approved     bool     `json:"approved,omitempty"`
	Groups       []string `json:"groups,omitempty"`
}

func rosterKey(account jid.JID, trust string) Key {
	return Key{Account: account.Bare(), Trust: trust, Name: "roster"}
}

// loadRoster returns what was kept, or nothing.
func loadRoster(ctx context.Context, cache Cache, account jid.JID, trust string) rosterState {
	b, err := cache.Get(ctx, rosterKey(account, trust))
	if err != nil || b == nil {
		return rosterState{}
	}
	return decodeRoster(b)
}

// decodeRoster returns what is in a value, or nothing if it is not one of ours.
func decodeRoster(b []byte) rosterState {
	var kept keptRoster
	if json.Unmarshal(b, &kept) != nil || kept.Form != rosterVersion || len(kept.Items) > MaxRosterItems {
		return rosterState{}
	}
	s := rosterState{version: kept.Version, items: make(map[string]RosterItem, len(kept.Items))}
	for _, i := range kept.Items {
		j, err := jid.Parse(i.JID)
		if err != nil {
			return rosterState{}
		}
		s.items[j.String()] = RosterItem{
			JID: j, Name: i.Name, Subscription: i.Subscription, Ask: i.Ask, Approved: i.Approved, Groups: i.Groups,
		}
	}
	return s
}

// encodeRoster returns the value that is kept.
func encodeRoster(s rosterState) ([]byte, error) {
	kept := keptRoster{Form: rosterVersion, Version: s.version, Items: make([]keptItem, 0, len(s.items))}
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		i := s.items[key]
		kept.Items = append(kept.Items, keptItem{
			JID: key, Name: i.Name, Subscription: i.Subscription, Ask: i.Ask, Approved: i.Approved, Groups: i.Groups,
		})
	}
	return json.Marshal(kept)
}

// keepRoster returns what keeps the states of a roster. What cannot be kept leaves an
// older one in its place, of which the server is asked for more changes than that.
func keepRoster(ctx context.Context, d *Dialer, account jid.JID) func(rosterState) {
	cache, key := d.cache(), rosterKey(account, d.Trust)
	return func(s rosterState) {
		ctx, cancel := context.WithTimeout(ctx, keepTime)
		defer cancel()
		if err := s.put(ctx, cache, key); err != nil {
			d.log(ctx, "the roster is not kept", "account", key.Account, "err", err)
		}
	}
}

func (s rosterState) put(ctx context.Context, cache Cache, key Key) error {
	size := 0
	for _, item := range s.items {
		size += item.size()
	}
	if size > maxKeptRoster {
		return fmt.Errorf("%w: a roster with %d bytes of text", ErrTooLarge, size)
	}
	b, err := encodeRoster(s)
	if err != nil {
		return err
	}
	if len(b) > maxKeptRoster {
		return fmt.Errorf("%w: a roster of %d bytes", ErrTooLarge, len(b))
	}
	return cache.Put(ctx, key, b)
}
