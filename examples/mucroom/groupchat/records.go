// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// Record is what a room is like, without what it remembers.
type Record struct {
	Room         jid.JID // bare
	Config       Config
	Affiliations map[string]muc.Affiliation // by bare JID, without those that are none
}

// Records keep what rooms are like. They are safe for concurrent use.
type Records interface {
	// All returns all records, in any order.
	All(ctx context.Context) ([]Record, error)

	// Put keeps the record of a room in place of the one before: all of it or, if there
	// is an error, nothing.
	Put(ctx context.Context, r Record) error

	// Delete deletes the record of a room. That there is none is no error.
	Delete(ctx context.Context, room jid.JID) error
}

// Dir are [Records] in a directory, each in a file of its own. The directory must be
// there, and nobody else's.
type Dir string

// stored is how a record is stored.
type stored struct {
	Room         string            `json:"room"`
	Config       Config            `json:"config"`
	Affiliations map[string]string `json:"affiliations"`
}

const extension = ".json"

// file returns the name of a room's file. It is a hash, as names of rooms may be longer
// than those of files, and in other letters.
func (d Dir) file(room jid.JID) string {
	sum := sha256.Sum256([]byte(room.Bare().String()))
	return filepath.Join(string(d), hex.EncodeToString(sum[:16])+extension)
}

// All implements [Records].
func (d Dir) All(ctx context.Context) ([]Record, error) {
	names, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, name := range names {
		if !name.Type().IsRegular() || !strings.HasSuffix(name.Name(), extension) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := os.ReadFile(filepath.Join(string(d), name.Name()))
		if err != nil {
			return nil, err
		}
		r, err := parseRecord(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name.Name(), err)
		}
		all = append(all, r)
	}
	return all, nil
}

func parseRecord(b []byte) (r Record, err error) {
	s := stored{Config: DefaultConfig()}
	if err := json.Unmarshal(b, &s); err != nil {
		return r, err
	}
	r = Record{Config: s.Config, Affiliations: make(map[string]muc.Affiliation)}
	if r.Room, err = jid.Parse(s.Room); err != nil {
		return r, err
	}
	for bare, name := range s.Affiliations {
		if r.Affiliations[bare], err = affiliationOf(name); err != nil {
			return r, err
		}
	}
	return r, nil
}

// Put implements [Records].
func (d Dir) Put(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := stored{Room: r.Room.String(), Config: r.Config, Affiliations: make(map[string]string)}
	for bare, a := range r.Affiliations {
		s.Affiliations[bare] = a.String()
	}
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return replace(d.file(r.Room), append(b, '\n'))
}

// replace writes a file under another name first, so that there is always a whole one.
func replace(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Delete implements [Records].
func (d Dir) Delete(ctx context.Context, room jid.JID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(d.file(room)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
