// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
	"github.com/xmppext/xmppext/quickstart/quickstarttest"
)

var _ quickstart.Cache = (*quickstart.FileCache)(nil)

// openFiles returns a cache in a directory.
func openFiles(t testing.TB, dir string) *quickstart.FileCache {
	t.Helper()
	c, err := quickstart.OpenFileCache(dir)
	require.NoError(t, err)
	return c
}

// newFiles returns an empty cache.
func newFiles(t testing.TB) *quickstart.FileCache {
	t.Helper()
	return openFiles(t, filepath.Join(t.TempDir(), "cache"))
}

// filesOf returns the paths of all files of a cache.
func filesOf(t testing.TB, c *quickstart.FileCache) []string {
	t.Helper()
	entries, err := os.ReadDir(c.Dir)
	require.NoError(t, err)
	var files []string
	for _, e := range entries {
		files = append(files, filepath.Join(c.Dir, e.Name()))
	}
	return files
}

// putFile puts a value that the cache does not have yet, and returns its file.
func putFile(t testing.TB, c *quickstart.FileCache, k quickstart.Key, value string) string {
	t.Helper()
	before := filesOf(t, c)
	require.NoError(t, c.Put(t.Context(), k, []byte(value)))
	added := slices.DeleteFunc(filesOf(t, c), func(f string) bool { return slices.Contains(before, f) })
	require.Len(t, added, 1, "files of one value")
	return added[0]
}

// assertNoFile asserts that a file that is damaged counts as absent, and is removed.
func assertNoFile(t *testing.T, c *quickstart.FileCache, k quickstart.Key, file, why string) {
	t.Helper()
	got, err := c.Get(t.Context(), k)
	require.NoError(t, err, why)
	assert.Nil(t, got, why)
	assert.NoFileExists(t, file, why)
}

func TestFileCache(t *testing.T) {
	quickstarttest.Run(t, func(t testing.TB) quickstart.Cache { return newFiles(t) })
}

func TestFileCacheReopened(t *testing.T) {
	quickstarttest.RunReopened(t, func(t testing.TB) func(testing.TB) quickstart.Cache {
		dir := t.TempDir() + "/below/a/new/one"
		return func(t testing.TB) quickstart.Cache { return openFiles(t, dir) }
	})
}

func TestFileCacheShared(t *testing.T) {
	quickstarttest.RunShared(t, func(t testing.TB) (a, b quickstart.Cache) {
		dir := filepath.Join(t.TempDir(), "cache")
		return openFiles(t, dir), openFiles(t, dir)
	})
}

func TestFileCacheDamage(t *testing.T) {
	k := quickstart.Key{Account: jid.MustParse("romeo@example.net"), Trust: "pinned", Name: "token"}
	c := newFiles(t)
	file := putFile(t, c, k, "a value that nobody else has")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	write := func(t *testing.T, data []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}

	t.Run("AQ-03: truncated at any length", func(t *testing.T) {
		for length := range good {
			write(t, good[:length])
			assertNoFile(t, c, k, file, fmt.Sprint(length))
		}
	})
	t.Run("AQ-03: any byte changed", func(t *testing.T) {
		for i := range good {
			for _, bit := range []byte{1, 0x80} {
				bad := bytes.Clone(good)
				bad[i] ^= bit
				write(t, bad)
				assertNoFile(t, c, k, file, fmt.Sprint(i))
			}
		}
	})
	t.Run("AQ-03: more than was written", func(t *testing.T) {
		write(t, append(bytes.Clone(good), 0))
		assertNoFile(t, c, k, file, "a byte more")
		write(t, append(bytes.Clone(good), good...))
		assertNoFile(t, c, k, file, "twice")
		write(t, quickstart.ResumFile(append(bytes.Clone(good), 0)))
		assertNoFile(t, c, k, file, "a byte more, and the sum is right")
		write(t, make([]byte, 2*quickstart.DefaultMaxBytes))
		assertNoFile(t, c, k, file, "longer than any")
	})
	t.Run("AQ-03: the wrong version", func(t *testing.T) {
		for _, version := range []byte{0, 2, '1', 255} {
			other := bytes.Clone(good)
			at := bytes.IndexByte(other, 0) + 1
			require.Equal(t, byte(1), other[at])
			other[at] = version
			write(t, quickstart.ResumFile(other))
			assertNoFile(t, c, k, file, fmt.Sprint(version))
		}
		write(t, quickstart.ResumFile(bytes.Clone(good)))
		got, err := c.Get(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, "a value that nobody else has", string(got), "it was the version only")
	})
	t.Run("AQ-03: the file of another key", func(t *testing.T) {
		for _, other := range []quickstart.Key{
			{Account: jid.MustParse("juliet@example.net"), Trust: k.Trust, Name: k.Name},
			{Trust: k.Trust, Name: k.Name},
			{Account: k.Account, Name: k.Name},
			{Account: k.Account, Trust: k.Trust, Name: "plan"},
			{Account: k.Account, Trust: k.Name, Name: k.Trust},
		} {
			c := newFiles(t)
			mine, theirs := putFile(t, c, k, "mine"), putFile(t, c, other, "theirs")
			data, err := os.ReadFile(theirs)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(mine, data, 0o600))
			assertNoFile(t, c, k, mine, fmt.Sprint(other))
			got, err := c.Get(t.Context(), other)
			require.NoError(t, err)
			assert.Equal(t, "theirs", string(got))
		}
	})
	t.Run("what was damaged can be put again", func(t *testing.T) {
		write(t, good[:10])
		require.NoError(t, c.Put(t.Context(), k, []byte("another")))
		got, err := c.Get(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, "another", string(got))
	})
	t.Run("what is damaged can be deleted", func(t *testing.T) {
		for _, names := range [][]string{nil, {"token"}} {
			write(t, good[:10])
			require.NoError(t, c.Delete(t.Context(), k.Account, names...))
			assert.NoFileExists(t, file)
		}
	})
}

func TestFileCacheBounds(t *testing.T) {
	// Times of files are too coarse to tell which is the older one.
	age := func(t *testing.T, file string, by time.Duration) {
		t.Helper()
		when := time.Now().Add(-by)
		require.NoError(t, os.Chtimes(file, when, when))
	}
	t.Run("the value that was written longest ago makes room", func(t *testing.T) {
		c := newFiles(t)
		c.MaxValues = 3
		for i, name := range []string{"2", "1", "3"} {
			age(t, putFile(t, c, cacheKey(name), "x"), time.Duration(10-i)*time.Hour)
		}
		require.NoError(t, c.Put(t.Context(), cacheKey("2"), []byte("y")), "it takes the place of its old value")
		assert.Equal(t, []string{"1", "2", "3"}, cacheHas(t, c, "1", "2", "3"))
		require.NoError(t, c.Put(t.Context(), cacheKey("4"), []byte("x")))
		assert.Equal(t, []string{"2", "3", "4"}, cacheHas(t, c, "1", "2", "3", "4"))
		assert.Len(t, filesOf(t, c), 3)
	})
	t.Run("bytes of files count", func(t *testing.T) {
		c := newFiles(t)
		first := putFile(t, c, cacheKey("1"), strings.Repeat("x", 100))
		info, err := os.Stat(first)
		require.NoError(t, err)
		c.MaxBytes = 3 * int(info.Size())
		age(t, first, 3*time.Hour)
		age(t, putFile(t, c, cacheKey("2"), strings.Repeat("x", 100)), 2*time.Hour)
		age(t, putFile(t, c, cacheKey("3"), strings.Repeat("x", 100)), time.Hour)
		require.NoError(t, c.Put(t.Context(), cacheKey("3"), make([]byte, 101)))
		assert.Equal(t, []string{"2", "3"}, cacheHas(t, c, "1", "2", "3"))
		most := 100 + 2*int(info.Size())
		require.ErrorIs(t, c.Put(t.Context(), cacheKey("4"), make([]byte, most+1)), quickstart.ErrTooLarge)
		assert.Equal(t, []string{"2", "3"}, cacheHas(t, c, "2", "3", "4"), "what is too large makes no room")
		require.NoError(t, c.Put(t.Context(), cacheKey("4"), make([]byte, most)))
		assert.Equal(t, []string{"4"}, cacheHas(t, c, "2", "3", "4"))
	})
	t.Run("what was left behind is removed", func(t *testing.T) {
		c := newFiles(t)
		file := putFile(t, c, cacheKey("1"), "x")
		old, fresh, future, foreign := file+".new-OLD", file+".new-FRESH", file+".new-FUTURE", filepath.Join(c.Dir, "readme")
		leave := func() {
			for _, f := range []string{old, fresh, future, foreign} {
				require.NoError(t, os.WriteFile(f, []byte("left"), 0o600))
				age(t, f, 0)
			}
			age(t, old, 2*time.Minute)
			age(t, future, -2*time.Minute)
			age(t, foreign, 1000*time.Hour)
		}
		for _, trigger := range []func(){
			func() { openFiles(t, c.Dir) },
			func() { require.NoError(t, c.Put(t.Context(), cacheKey("2"), []byte("x"))) },
		} {
			leave()
			trigger()
			assert.NoFileExists(t, old)
			assert.NoFileExists(t, future)
			assert.FileExists(t, fresh, "somebody may be writing it")
			assert.FileExists(t, foreign, "it is none of the cache's")
		}
		leave()
		require.NoError(t, c.Delete(t.Context(), cacheKey("").Account, "1"))
		for _, f := range []string{file, old, fresh, future} {
			assert.NoFileExists(t, f, "there may be a secret in it")
		}
		assert.FileExists(t, foreign)
		assert.Equal(t, []string{"2"}, cacheHas(t, c, "1", "2"))
	})
	t.Run("what was left behind counts", func(t *testing.T) {
		c := newFiles(t)
		c.MaxValues = 5
		file := putFile(t, c, cacheKey("1"), "x")
		for i := range 20 {
			require.NoError(t, os.WriteFile(fmt.Sprint(file, ".new-", i), []byte("left"), 0o600))
		}
		require.NoError(t, c.Put(t.Context(), cacheKey("2"), []byte("x")))
		assert.Len(t, filesOf(t, c), 5)
		assert.Equal(t, []string{"2"}, cacheHas(t, c, "2"))
	})
}

func TestFileCacheDirectory(t *testing.T) {
	t.Run("nothing is made to look into", func(t *testing.T) {
		c := &quickstart.FileCache{Dir: filepath.Join(t.TempDir(), "a", "b")}
		assert.Empty(t, cacheHas(t, c, "1"))
		require.NoError(t, c.Delete(t.Context(), cacheKey("1").Account))
		assert.NoDirExists(t, c.Dir)
		require.NoError(t, c.Put(t.Context(), cacheKey("1"), []byte("x")))
		assert.Equal(t, []string{"1"}, cacheHas(t, c, "1"))
	})
	t.Run("it is the same one after a change of directory", func(t *testing.T) {
		t.Chdir(t.TempDir())
		c := openFiles(t, "cache")
		require.NoError(t, c.Put(t.Context(), cacheKey("1"), []byte("x")))
		t.Chdir(t.TempDir())
		assert.Equal(t, []string{"1"}, cacheHas(t, c, "1"))
	})
	t.Run("a directory that was removed is made again", func(t *testing.T) {
		c := newFiles(t)
		require.NoError(t, c.Put(t.Context(), cacheKey("1"), []byte("x")))
		require.NoError(t, os.RemoveAll(c.Dir))
		assert.Empty(t, cacheHas(t, c, "1"))
		require.NoError(t, c.Put(t.Context(), cacheKey("1"), []byte("x")))
		assert.Equal(t, []string{"1"}, cacheHas(t, c, "1"))
	})
	t.Run("a file in its place", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(dir, nil, 0o600))
		_, err := quickstart.OpenFileCache(dir)
		require.ErrorIs(t, err, quickstart.ErrNotPrivate)
	})
	t.Run("a file in the place of what is above", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(dir, nil, 0o600))
		_, err := quickstart.OpenFileCache(filepath.Join(dir, "cache"))
		require.Error(t, err)
		assert.True(t, strings.HasPrefix(err.Error(), "quickstart: "), err)
	})
	t.Run("file names say nothing about accounts", func(t *testing.T) {
		c := newFiles(t)
		file := putFile(t, c, quickstart.Key{Account: jid.MustParse("romeo@example.net"), Trust: "pinned", Name: "dns/example.net"}, "secret")
		assert.Regexp(t, `^[0-9a-f]{32}-[0-9a-f]{32}-[0-9a-f]{32}$`, filepath.Base(file))
	})
	t.Run("a directory in the place of a file", func(t *testing.T) {
		c := newFiles(t)
		file := putFile(t, c, cacheKey("1"), "x")
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.MkdirAll(filepath.Join(file, "full"), 0o700))
		_, err := c.Get(t.Context(), cacheKey("1"))
		require.ErrorIs(t, err, quickstart.ErrNotPrivate)
		require.Error(t, c.Put(t.Context(), cacheKey("1"), []byte("y")))
		assert.Len(t, filesOf(t, c), 1, "nothing is left of what could not be written")
		require.Error(t, c.Delete(t.Context(), cacheKey("1").Account), "what could not be removed")
	})
}

// TestCacheSecrets looks for a value in all that caches say.
func TestCacheSecrets(t *testing.T) {
	const secret = "0penSesame-0penSesame"
	var shown bytes.Buffer
	show := func(values ...any) {
		for _, v := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%d"} {
				fmt.Fprintf(&shown, verb+"\n", v)
			}
			data, err := json.Marshal(v)
			fmt.Fprintf(&shown, "%s %v\n", data, err)
			slog.New(slog.NewTextHandler(&shown, nil)).Info("cache", "c", v)
			slog.New(slog.NewJSONHandler(&shown, nil)).Info("cache", "c", v)
		}
	}
	k := cacheKey("token")
	memory, files := new(quickstart.MemoryCache), newFiles(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	try := func(c quickstart.Cache) {
		for _, value := range []string{secret, strings.Repeat(secret, quickstart.DefaultMaxBytes/len(secret)+1)} {
			for _, ctx := range []context.Context{ended, t.Context()} {
				show(c.Put(ctx, k, []byte(value)))
				_, err := c.Get(ctx, k)
				show(c, err, c.Delete(ctx, jid.MustParse("another@example.net")))
			}
		}
	}
	try(memory)
	try(files)
	file := filesOf(t, files)[0]
	require.NoError(t, os.WriteFile(file, []byte(secret), 0o600))
	_, err := files.Get(t.Context(), k)
	show(err)
	require.NoError(t, os.MkdirAll(filepath.Join(file, "full"), 0o700))
	try(files)
	try(&quickstart.FileCache{Dir: filepath.Join(file, "full", "x", "\x00")})

	require.Contains(t, shown.String(), quickstart.ErrTooLarge.Error())
	require.Contains(t, shown.String(), "is no regular file")
	for how, text := range map[string]string{
		"as it is": secret, "in hex": hex.EncodeToString([]byte(secret)), "in base64": base64.RawStdEncoding.EncodeToString([]byte(secret)),
		"as numbers": strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
	} {
		assert.False(t, strings.Contains(shown.String(), text), "AQ-12: the value is shown %s", how)
	}
}
