// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// tokenFile keeps tokens in a file that nobody else can read. It is a TokenCache
// for one process at a time.
type tokenFile struct {
	// ID is that of this installation: servers give their tokens to it.
	ID string `json:"id"`

	// Tokens are by bare JID.
	Tokens map[string]auth.Token `json:"tokens"`

	name string
	mu   sync.Mutex
}

// openTokens reads a file, or makes it.
func openTokens(name string) (*tokenFile, error) {
	f := &tokenFile{name: name}
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.ID = newID()
		return f, f.write(nil)
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(b, f); err != nil || f.ID == "" {
		return nil, fmt.Errorf("%s is no file of tokens", name) // The error might quote one.
	}
	return f, nil
}

// Token returns the token of an account.
func (f *tokenFile) Token(_ context.Context, account jid.JID) (auth.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Tokens[account.Bare().String()], nil
}

// SetToken replaces the token of an account, or removes it.
func (f *tokenFile) SetToken(_ context.Context, account jid.JID, t auth.Token) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tokens := maps.Clone(f.Tokens)
	if tokens == nil {
		tokens = make(map[string]auth.Token)
	}
	if tokens[account.Bare().String()] = t; t.IsZero() {
		delete(tokens, account.Bare().String())
	}
	return f.write(tokens)
}

// write replaces the file, or leaves it as it was.
func (f *tokenFile) write(tokens map[string]auth.Token) error {
	b, err := json.Marshal(&tokenFile{ID: f.ID, Tokens: tokens})
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.name), filepath.Base(f.name)) // with mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(b)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), f.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	f.Tokens = tokens
	return nil
}

// newID returns a random UUID of version 4.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails.
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
