// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
)

// hostileTags are tags that are none.
var hostileTags = map[string]string{
	"nothing": "", "NUL": "a\x00b", "a line's end": "a\nb", "bidi control": "a\u202eb", "a joiner": "\u200d",
	"2 KB": strings.Repeat("x", 2048), "one too long": strings.Repeat("x", bind2.MaxTag+1), "no UTF-8": "a\xffb",
	"what grows by normalising": strings.Repeat("\u0958", 42),
}

func TestNewResource(t *testing.T) {
	t.Run("B2-06: nobody can guess it", func(t *testing.T) {
		seen := make(map[string]bool)
		for range 1000 {
			r := bind2.NewResource("")
			require.Regexp(t, `^[A-Z2-7]{26}$`, r, "130 bits, of which 128 are random")
			require.False(t, seen[r])
			seen[r] = true
			full, err := juliet.WithResource(r)
			require.NoError(t, err)
			require.Equal(t, r, full.Resourcepart())
		}
	})
	for _, tag := range []string{"X", "Boje", "a b", "R\u00e9sidence", "<&'\">", strings.Repeat("x", bind2.MaxTag), "a/b", "/", "a/"} {
		t.Run("BN-18, BN-19, E-09, AB-06: behind a tag "+tag, func(t *testing.T) {
			r := bind2.NewResource(tag)
			i := strings.LastIndex(r, "/")
			assert.Equal(t, tag, r[:i])
			assert.Regexp(t, `^[A-Z2-7]{26}$`, r[i+1:])
			full, err := juliet.WithResource(r)
			require.NoError(t, err)
			assert.Equal(t, r, full.Resourcepart(), "it is normalised already")
		})
	}
	for name, tag := range hostileTags {
		t.Run("AB-06: without a tag that is none: "+name, func(t *testing.T) {
			assert.Regexp(t, `^[A-Z2-7]{26}$`, bind2.NewResource(tag))
			assert.Regexp(t, `^[A-Z2-7]{32}$`, bind2.StableResource([]byte("key"), juliet, agentID, tag))
		})
	}
}

func TestStableResource(t *testing.T) {
	key := []byte("0123456789abcdef")
	stable := bind2.StableResource(key, juliet, agentID, "X")
	t.Run("BN-21: the same for the same", func(t *testing.T) {
		assert.Equal(t, stable, bind2.StableResource(key, juliet, agentID, "X"))
		assert.Equal(t, stable, bind2.StableResource(key, balcony, strings.ToUpper(agentID), "X"), "whatever is bound, and however it is written")
		assert.Regexp(t, `^X/[A-Z2-7]{32}$`, stable, "160 bits")
		assert.Equal(t, bind2.StableResource(key, juliet, agentID, "R\u00e9sidence"), bind2.StableResource(key, juliet, agentID, "Re\u0301sidence"))
	})
	t.Run("BN-21, D-08: different for all else", func(t *testing.T) {
		id := func(r string) string { return r[strings.LastIndex(r, "/")+1:] }
		seen := map[string]string{id(stable): "it"}
		for name, r := range map[string]string{
			"another client":      bind2.StableResource(key, juliet, "e4565fa7-4d72-4749-b3d3-740edbf87770", "X"),
			"another tag":         bind2.StableResource(key, juliet, agentID, "Y"),
			"no tag":              bind2.StableResource(key, juliet, agentID, ""),
			"another account":     bind2.StableResource(key, romeo, agentID, "X"),
			"another domain":      bind2.StableResource(key, jid.MustParse("juliet@example.net"), agentID, "X"),
			"another key":         bind2.StableResource([]byte("fedcba9876543210"), juliet, agentID, "X"),
			"the border moved":    bind2.StableResource(key, jid.MustParse("juliet@im.example.comd"), agentID[1:], "X"),
			"the other way round": bind2.StableResource(key, juliet, agentID+"x", ""),
			"no client":           bind2.StableResource(key, juliet, "", "X"),
			"no client again":     bind2.StableResource(key, juliet, "", "X"),
		} {
			assert.Empty(t, seen[id(r)], name)
			seen[id(r)] = name
		}
	})
	t.Run("BN-22: it does not show the client's id", func(t *testing.T) {
		plain := strings.ReplaceAll(agentID, "-", "")
		raw, err := hex.DecodeString(plain)
		require.NoError(t, err)
		for _, secret := range []string{
			agentID, plain, string(raw),
			base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw),
			base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
			base64.StdEncoding.EncodeToString([]byte(agentID)), hex.EncodeToString([]byte(agentID)),
		} {
			assert.NotContains(t, strings.ToLower(stable), strings.ToLower(secret))
		}
	})
	t.Run("BN-20: nothing is stable by itself", func(t *testing.T) {
		assert.NotEqual(t, bind2.NewResource("X"), bind2.NewResource("X"))
	})
}
