// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
)

// broken is what may be wrong with a cache.
type broken struct {
	file    func(account, trust, name string) string // where a value is
	keep    func(old, value []byte) []byte           // what becomes of a value
	deletes func(e, of entry, names []string) bool   // what Delete removes
	full    int                                      // what becomes of full JIDs
	absent  error                                    // of what is not there
	empty   bool                                     // what is not there is empty
	lends   bool                                     // keeps the bytes of the caller
	exposes bool                                     // returns the bytes that it keeps
	room    int                                      // so many values
	most    int                                      // bytes of a value
	refusal error                                    // of larger ones, by default the right one
	drops   bool                                     // the old value of a larger one is gone
	deaf    bool                                     // the context does not matter
	late    bool                                     // the context is asked when all is done
	forever bool                                     // what was deleted stays so
	softly  bool                                     // what was deleted is so in memory
	log     func(old bool) bool                      // whether a value is written
	whole   func()                                   // called between reading and writing all values
	torn    func()                                   // called between writing the halves of a value
}

const (
	refused = 1 + iota
	kept
)

// entry is a value on a disk.
type entry struct {
	account, trust, name string
	value                []byte
}

// disk is what survives a cache.
type disk struct {
	mu    sync.Mutex
	files map[string]entry
	order []string
}

func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{files: maps.Clone(d.files), order: slices.Clone(d.order)}
}

// faulty is a cache with faults, if there are any.
type faulty struct {
	broken
	disk *disk

	tombs map[string]bool // files that are only gone here; the disk's mutex guards it
}

func key(account, trust, name string) string {
	return url.QueryEscape(account) + "/" + url.QueryEscape(trust) + "/" + url.QueryEscape(name)
}

func named(e entry, names []string) bool { return len(names) == 0 || slices.Contains(names, e.name) }

func (c *faulty) account(j jid.JID) (string, error) {
	switch {
	case c.full == kept:
		return j.String(), nil
	case c.full == refused && j.Resourcepart() != "":
		return "", errors.New("not bare")
	}
	return j.Bare().String(), nil
}

// find returns an entry without its value, and its file.
func (c *faulty) find(ctx context.Context, k quickstart.Key) (entry, string, error) {
	if ctx.Err() != nil && !c.deaf && !c.late {
		return entry{}, "", ctx.Err()
	}
	account, err := c.account(k.Account)
	file := key
	if c.file != nil {
		file = c.file
	}
	return entry{account: account, trust: k.Trust, name: k.Name}, file(account, k.Trust, k.Name), err
}

func (c *faulty) Get(ctx context.Context, k quickstart.Key) ([]byte, error) {
	_, file, err := c.find(ctx, k)
	if err != nil {
		return nil, err
	}
	if c.late && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	e, ok := c.disk.files[file]
	switch {
	case !ok || c.tombs[file]:
		if c.empty {
			return []byte{}, nil
		}
		return nil, c.absent
	case c.exposes:
		return e.value, nil
	}
	return bytes.Clone(e.value), nil
}

func (c *faulty) Put(ctx context.Context, k quickstart.Key, value []byte) error {
	e, file, err := c.find(ctx, k)
	if err != nil {
		return err
	}
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	old, exists := c.disk.files[file]
	if c.most > 0 && len(value) > c.most {
		if c.drops {
			delete(c.disk.files, file)
		}
		if c.refusal != nil {
			return c.refusal
		}
		return fmt.Errorf("%w: more than %d bytes", quickstart.ErrTooLarge, c.most)
	}
	if c.log != nil && !c.log(exists) {
		return nil
	}
	if e.value = value; !c.lends {
		e.value = append([]byte{}, value...)
	}
	if c.keep != nil {
		e.value = c.keep(old.value, e.value)
	}
	files := c.disk.files
	if c.whole != nil {
		files = maps.Clone(files)
		c.disk.mu.Unlock()
		c.whole()
		c.disk.mu.Lock()
	}
	if files == nil {
		files = make(map[string]entry)
	}
	if c.torn != nil {
		half := e
		half.value = slices.Concat(e.value[:len(e.value)/2], old.value[min(len(old.value), len(e.value)/2):])
		files[file], c.disk.files = half, files
		c.disk.mu.Unlock()
		c.torn()
		c.disk.mu.Lock()
		half = c.disk.files[file]
		half.value = slices.Concat(half.value[:min(len(half.value), len(e.value)/2)], e.value[len(e.value)/2:])
		e = half
	}
	files[file], c.disk.files = e, files
	if !c.forever {
		delete(c.tombs, file)
	}
	c.disk.order = append(slices.DeleteFunc(c.disk.order, func(f string) bool { return f == file }), file)
	if c.room > 0 && len(c.disk.order) > c.room {
		delete(files, c.disk.order[0])
		c.disk.order = c.disk.order[1:]
	}
	if c.late {
		return ctx.Err()
	}
	return nil
}

func (c *faulty) Delete(ctx context.Context, account jid.JID, names ...string) error {
	of, _, err := c.find(ctx, quickstart.Key{Account: account})
	if err != nil {
		return err
	}
	deletes := c.deletes
	if deletes == nil {
		deletes = func(e, of entry, names []string) bool { return e.account == of.account && named(e, names) }
	}
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	found := false
	for file, e := range c.disk.files {
		if !deletes(e, of, names) {
			continue
		}
		found = true
		if c.tombs == nil {
			c.tombs = make(map[string]bool)
		}
		c.tombs[file] = c.forever || c.softly
		if !c.softly {
			delete(c.disk.files, file)
		}
	}
	if !found && c.absent != nil {
		return c.absent
	}
	if c.late {
		return ctx.Err()
	}
	return nil
}

// closing is a cache that writes when it is closed.
type closing struct {
	faulty
	to *disk
}

func (c *closing) Close() error {
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.files, c.to.order = c.disk.files, c.disk.order
	return nil
}

// A crossing is where each of a crowd waits for the next one.
type crossing struct {
	mu    sync.Mutex
	first chan struct{}
}

// wait does not wait for long: there may be no other one.
func (c *crossing) wait() {
	c.mu.Lock()
	if c.first != nil {
		close(c.first)
		c.first = nil
		c.mu.Unlock()
		return
	}
	met := make(chan struct{})
	c.first = met
	c.mu.Unlock()
	select {
	case <-met:
	case <-time.After(20 * time.Millisecond):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == met {
		c.first = nil
	}
}
