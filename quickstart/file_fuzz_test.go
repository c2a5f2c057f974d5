// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
)

// FuzzFileCache reads any file. With resum its checksum is made the right one, so
// that what is behind it is reached.
func FuzzFileCache(f *testing.F) {
	k := quickstart.Key{Account: jid.MustParse("romeo@example.net"), Trust: "pinned", Name: "token"}
	for _, good := range [][]byte{
		quickstart.EncodeFile(k, []byte("value")),
		quickstart.EncodeFile(k, nil),
		quickstart.EncodeFile(k, bytes.Repeat([]byte{0, 255}, 100)),
		quickstart.EncodeFile(quickstart.Key{Account: jid.MustParse("juliet@example.net"), Trust: "pinned", Name: "token"}, []byte("value")),
		quickstart.EncodeFile(quickstart.Key{Account: k.Account, Trust: "pinnedtoken"}, []byte("value")),
	} {
		for _, resum := range []bool{false, true} {
			f.Add(good, resum)
			f.Add(good[:len(good)-1], resum)
			f.Add(append(bytes.Clone(good), 0), resum)
			f.Add([]byte(strings.Replace(string(good), "\x00\x00\x00\x11", "\xff\xff\xff\xff", 1)), resum)
			f.Add([]byte(strings.Replace(string(good), "\x00\x00\x00\x05", "\x00\x00\x00\x06", 1)), resum)
		}
	}
	f.Add([]byte{}, false)

	c := newFiles(f)
	file := putFile(f, c, k, "value")
	f.Fuzz(func(t *testing.T, data []byte, resum bool) {
		data = bytes.Clone(data)
		if resum {
			data = quickstart.ResumFile(data)
		}
		require.NoError(t, os.WriteFile(file, data, 0o600))
		got, err := c.Get(t.Context(), k)
		require.NoError(t, err)
		if got == nil {
			assert.NoFileExists(t, file)
			assert.NotEqual(t, quickstart.EncodeFile(k, nil), data)
			return
		}
		assert.Equal(t, quickstart.EncodeFile(k, got), data, "what was put for the key, and nothing else")
		again, err := c.Get(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, got, again)
	})
}
