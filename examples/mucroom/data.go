// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
	"github.com/xmppext/xmppext/mucfr/mucfrsqlite"
)

// data is where rooms are kept: what they remember, which changes all the time, in a
// database, and what they are like in files that people can read.
type data struct {
	store   *mucfrsqlite.Store
	records groupchat.Dir
}

// openData opens what is in a directory, and makes it if it is not there.
func openData(ctx context.Context, dir string) (data, error) {
	records := filepath.Join(dir, "rooms")
	if err := os.MkdirAll(records, 0o700); err != nil {
		return data{}, fmt.Errorf("-data: %w", err)
	}
	store, err := mucfrsqlite.Open(ctx, filepath.Join(dir, "rooms.db"))
	if err != nil {
		return data{}, fmt.Errorf("-data: %w", err)
	}
	return data{store, groupchat.Dir(records)}, nil
}

// Close closes the database.
func (d data) Close() error { return d.store.Close() }
