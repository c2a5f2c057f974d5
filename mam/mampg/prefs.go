// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// maxAddresses is how many addresses the lists of preferences may have in all.
// It is more than there are in a roster.
const maxAddresses = 10_000

const (
	preferencesSQL = "SELECT initial, always, never FROM ~.preference WHERE digest = $1"
	preferSQL      = `INSERT INTO ~.preference (digest, jid, initial, always, never) VALUES ($1, $2, $3, $4::text[], $5::text[])
	ON CONFLICT (digest) DO UPDATE SET initial = excluded.initial, always = excluded.always, never = excluded.never`
)

// Preferences returns those of an archive, or the zero value if there are none.
func (a *Archive) Preferences(ctx context.Context, archive jid.JID) (p mam.Preferences, err error) {
	var initial string
	var always, never []string
	name := keyOf(nameOf(archive))
	err = a.with(ctx, func(c *conn) error {
		initial, always, never = "", nil, nil
		return c.read(ctx, do(preferencesSQL, name[:]).scan(&initial, &always, &never))
	})
	if err == nil {
		p.Default = mam.Default(initial)
		p.Always, err = addresses(always)
	}
	if err == nil {
		p.Never, err = addresses(never)
	}
	if err != nil {
		return mam.Preferences{}, wrap("preferences", err)
	}
	return p, nil
}

// SetPreferences replaces the preferences of an archive.
// It is [mam.ErrTooLarge] if there are more than 10,000 addresses in the lists.
func (a *Archive) SetPreferences(ctx context.Context, archive jid.JID, p mam.Preferences) error {
	if len(p.Always)+len(p.Never) > maxAddresses {
		return mam.ErrTooLarge
	}
	name := nameOf(archive)
	k := keyOf(name)
	always, never := texts(p.Always), texts(p.Never)
	return wrap("preferences", a.with(ctx, func(c *conn) error {
		if err := c.run(ctx, beginWrite...); err != nil {
			return err
		}
		return c.commit(ctx, do(preferSQL, k[:], name, string(p.Default), always, never))
	}))
}

func texts(list []jid.JID) []string {
	names := make([]string, 0, len(list))
	for _, j := range list {
		names = append(names, j.String())
	}
	return names
}

func addresses(names []string) ([]jid.JID, error) {
	var list []jid.JID
	for _, name := range names {
		j, err := address(name, "")
		if err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	return list, nil
}
