// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"

	"mellium.im/xmpp/jid"
)

// MaxTag is the greatest length of a tag, in bytes. It is short text for people to
// read, and it must leave the id its place in a resourcepart, which has 1023 bytes.
const MaxTag = 128

// stableBits is the length of the id of a [StableResource], too long for two
// installations to have the same.
const stableBits = 160

// NewResource returns a resourcepart for a client that calls itself tag, or nothing:
// the tag, a slash, and an id that nobody can guess. Without a tag it is the id
// alone.
//
// The id has at least 128 random bits and no slash, so that it is always what is
// behind the last slash. A tag that is no resourcepart, or longer than MaxTag, is
// left out.
func NewResource(tag string) string { return withTag(tag, rand.Text()) }

// StableResource is [NewResource] with an id that is the same for the same key,
// account, client and tag, and tells nothing about any of them to those who do not
// have the key.
//
// Key is the server's secret: at least 16 random bytes, which must never change.
// Client is Request.Client; without one there is nothing to be stable, and the id
// is a random one.
//
// A stable resource may be in use by another client, which has asked for it by name
// (RFC 6120, section 7.7). That is reason enough to give this one a [NewResource].
func StableResource(key []byte, account jid.JID, client, tag string) string {
	if client == "" {
		return NewResource(tag)
	}
	h := hmac.New(sha256.New, key)
	for _, s := range []string{account.Bare().String(), strings.ToLower(client), cleanTag(tag)} {
		var length [8]byte // so that no two lists of strings are the same bytes
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	return withTag(tag, base32.StdEncoding.EncodeToString(h.Sum(nil)[:stableBits/8]))
}

// withTag joins a tag and an id.
func withTag(tag, id string) string {
	if tag = cleanTag(tag); tag == "" {
		return id
	}
	return tag + "/" + id
}

// anybody is somebody to try resourceparts on.
var anybody = jid.MustParse("a@b")

// cleanTag returns a tag as a resourcepart (RFC 7622, section 3.4), or nothing if it
// cannot be one.
func cleanTag(tag string) string {
	if tag == "" || len(tag) > MaxTag {
		return ""
	}
	j, err := anybody.WithResource(tag)
	if err != nil || len(j.Resourcepart()) > MaxTag {
		return ""
	}
	return j.Resourcepart()
}
