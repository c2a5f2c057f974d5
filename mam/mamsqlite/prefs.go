// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"encoding/json"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// maxAddresses is how many addresses the lists of preferences may have in all.
// It is more than there are in a roster.
const maxAddresses = 10_000

const preferencesSQL = "SELECT initial, always, never FROM preference WHERE jid = ?"

// Preferences returns those of an archive, or the zero value if there are none.
func (a *Archive) Preferences(ctx context.Context, archive jid.JID) (p mam.Preferences, err error) {
	err = a.read(ctx, func(c *conn) error {
		var always, never string
		ok, err := c.row(preferencesSQL, []any{nameOf(archive)}, &p.Default, &always, &never)
		if err != nil || !ok {
			return err
		}
		if p.Always, err = decode(always); err == nil {
			p.Never, err = decode(never)
		}
		return err
	})
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
	args := []any{nameOf(archive), string(p.Default)}
	for _, list := range [][]jid.JID{p.Always, p.Never} {
		text, err := encode(list)
		if err != nil {
			return wrap("preferences", err)
		}
		args = append(args, text)
	}
	return wrap("preferences", a.write(ctx, func(t *tx) error {
		return t.exec("INSERT INTO preference (jid, initial, always, never) VALUES (?, ?, ?, ?) "+
			"ON CONFLICT (jid) DO UPDATE SET initial = excluded.initial, always = excluded.always, never = excluded.never", args...)
	}))
}

func encode(list []jid.JID) (string, error) {
	names := make([]string, 0, len(list))
	for _, j := range list {
		names = append(names, j.String())
	}
	text, err := json.Marshal(names)
	return string(text), err
}

func decode(text string) ([]jid.JID, error) {
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, err
	}
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
