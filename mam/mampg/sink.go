// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/xmppext/xmppext/mam"
)

// A message has the addresses of its contacts beside it.
const (
	rowSQL = "SELECT m.position, m.uid, m.stamp, (SELECT w.jid FROM ~.contact w WHERE w.id = m.contact), m.resource, " +
		"(SELECT c.jid FROM ~.contact c WHERE c.id = m.conversation), m.stanza, m.groupchat, m.unread, "
	itemSQL = rowSQL + "m.xml"
)

// sorted returns a statement for some value of the column sorted.
func sorted(statement string, value int) string { return fmt.Sprintf(statement, value) }

// A row is what a message is read into.
type row struct {
	uid         pgtype.UUID
	stanza, xml pgtype.DriverBytes
}

// scan reads a row. Its XML is good until the next one is read.
func (r *row) scan(from pgx.Rows) (i mam.Item, err error) {
	var stamp int64
	var with, resource, of string
	if err := from.Scan(&i.Position, &r.uid, &stamp, &with, &resource, &of, &r.stanza, &i.GroupChat, &i.Unread, &r.xml); err != nil {
		return i, err
	}
	i.ID = hex.EncodeToString(r.uid.Bytes[:])
	i.Stamp = time.UnixMicro(stamp).UTC()
	i.StanzaID, i.XML = string(r.stanza), r.xml
	if i.With, err = address(with, resource); err == nil {
		i.Conversation, err = address(of, "")
	}
	return i, err
}

// maxKept is how many bytes of a page are read before it is yielded, which is more
// than usual pages have. Beyond, it is yielded as it is read.
const maxKept = 128 << 10

// rowBytes is about what an item takes beside its XML.
const rowBytes = 500

// errLarge means that a page needs a place among those that keep a connection.
var errLarge = errors.New("mampg: a large page")

// A sink takes the items of a page.
type sink struct {
	ctx    context.Context
	yield  func(mam.Item) error
	row    row
	kept   []mam.Item
	bytes  int
	large  bool  // it may yield while it is read
	begun  bool  // it has
	theirs error // that of yield
}

// reset forgets what was not yielded.
func (s *sink) reset() { s.kept, s.bytes = nil, 0 }

// add takes an item whose XML is somebody else's.
func (s *sink) add(i mam.Item) error {
	if !s.begun {
		if s.bytes += len(i.XML) + len(i.StanzaID) + rowBytes; s.bytes <= maxKept || len(s.kept) == 0 {
			i.XML = bytes.Clone(i.XML)
			s.kept = append(s.kept, i)
			return nil
		}
		if !s.large {
			return errLarge
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return s.pass(i)
}

// read takes an item from a row.
func (s *sink) read(r pgx.Rows) error {
	i, err := s.row.scan(r)
	if err != nil {
		return err
	}
	return s.add(i)
}

func (s *sink) pass(i mam.Item) error {
	s.begun = true
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.theirs = s.yield(i)
	return s.theirs
}

// flush yields what was kept.
func (s *sink) flush() error {
	for n, i := range s.kept {
		s.kept[n] = mam.Item{}
		if err := s.pass(i); err != nil {
			return err
		}
	}
	s.kept = nil
	return nil
}
