// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

//go:build unix

package quickstart_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
)

// otherUser is somebody who is not root, and seldom anybody.
const otherUser = 54321

// expectRefused asserts that a cache refuses its directory.
func expectRefused(t *testing.T, c *quickstart.FileCache) {
	t.Helper()
	k := cacheKey("1")
	_, err := quickstart.OpenFileCache(c.Dir)
	require.ErrorIs(t, err, quickstart.ErrNotPrivate, "open")
	got, err := c.Get(t.Context(), k)
	require.ErrorIs(t, err, quickstart.ErrNotPrivate, "get")
	assert.Nil(t, got)
	require.ErrorIs(t, c.Put(t.Context(), k, []byte("y")), quickstart.ErrNotPrivate, "put")
	require.ErrorIs(t, c.Delete(t.Context(), k.Account), quickstart.ErrNotPrivate, "delete")
}

// expectReplaced asserts that a cache refuses the file of a value, until the value is
// put again or deleted.
func expectReplaced(t *testing.T, spoil func(t *testing.T, c *quickstart.FileCache, file string)) {
	t.Helper()
	k := cacheKey("1")
	c := newFiles(t)
	file := putFile(t, c, k, "x")
	for range 2 {
		spoil(t, c, file)
		for range 2 {
			got, err := c.Get(t.Context(), k)
			require.ErrorIs(t, err, quickstart.ErrNotPrivate)
			assert.Nil(t, got)
		}
		require.NoError(t, c.Put(t.Context(), k, []byte("another")))
		got, err := c.Get(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, "another", string(got))
		info, err := os.Lstat(file)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
	}
	spoil(t, c, file)
	require.NoError(t, c.Delete(t.Context(), k.Account))
	assert.Empty(t, cacheHas(t, c, "1"))
	assert.Empty(t, filesOf(t, c))
}

func TestFileCachePermissions(t *testing.T) {
	t.Run("AQ-03: what is made is private", func(t *testing.T) {
		old := syscall.Umask(0)
		defer syscall.Umask(old)
		dir := filepath.Join(t.TempDir(), "above", "cache")
		c := openFiles(t, dir)
		file := putFile(t, c, cacheKey("1"), "x")
		for name, mode := range map[string]fs.FileMode{filepath.Dir(dir): 0o700, dir: 0o700, file: 0o600} {
			info, err := os.Stat(name)
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode().Perm(), name)
		}
	})
	for _, mode := range []fs.FileMode{0o777, 0o755, 0o750, 0o710, 0o701, 0o704, 0o720, 0o702} {
		t.Run(fmt.Sprintf("AQ-03: a directory with %#o", mode), func(t *testing.T) {
			c := newFiles(t)
			putFile(t, c, cacheKey("1"), "x")
			require.NoError(t, os.Chmod(c.Dir, mode))
			expectRefused(t, c)
			require.NoError(t, os.Chmod(c.Dir, 0o700))
			assert.Equal(t, []string{"1"}, cacheHas(t, c, "1"))
		})
	}
	for _, mode := range []fs.FileMode{0o777, 0o644, 0o640, 0o604, 0o620, 0o602, 0o610} {
		t.Run(fmt.Sprintf("AQ-03: a file with %#o", mode), func(t *testing.T) {
			expectReplaced(t, func(t *testing.T, _ *quickstart.FileCache, file string) {
				require.NoError(t, os.Chmod(file, mode))
			})
		})
	}
	t.Run("AQ-03: a directory of another user", func(t *testing.T) {
		c := newFiles(t)
		putFile(t, c, cacheKey("1"), "x")
		chown(t, c.Dir)
		expectRefused(t, c)
	})
	t.Run("AQ-03: a file of another user", func(t *testing.T) {
		expectReplaced(t, func(t *testing.T, _ *quickstart.FileCache, file string) { chown(t, file) })
	})
}

func chown(t *testing.T, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away: run the test as root")
	}
	require.NoError(t, os.Chown(name, otherUser, -1))
}

func TestFileCacheLinks(t *testing.T) {
	t.Run("AQ-03: a link in the place of the directory", func(t *testing.T) {
		c := newFiles(t)
		putFile(t, c, cacheKey("1"), "x")
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(c.Dir, link))
		for _, dir := range []string{link, link + "/", link + "/."} {
			expectRefused(t, &quickstart.FileCache{Dir: dir})
		}
		assert.Equal(t, []string{"1"}, cacheHas(t, c, "1"))
	})
	t.Run("AQ-03: a link to nothing in the place of the directory", func(t *testing.T) {
		target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(target, link))
		expectRefused(t, &quickstart.FileCache{Dir: link})
		assert.NoDirExists(t, target)
	})
	for name, target := range map[string]string{
		"a file elsewhere": "", "a file of the cache": "sibling", "nothing": "absent", "itself": "itself", "a device": os.DevNull,
	} {
		t.Run("AQ-03: a link to "+name, func(t *testing.T) {
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			expectReplaced(t, func(t *testing.T, c *quickstart.FileCache, file string) {
				data, err := os.ReadFile(file)
				require.NoError(t, err)
				require.NoError(t, os.Remove(file))
				to := target
				switch target {
				case "":
					to = elsewhere
				case "sibling":
					elsewhere = filepath.Join(t.TempDir(), "elsewhere") // not counted among the cache's
					to = filepath.Base(file) + ".new-SIBLING"
					require.NoError(t, os.WriteFile(filepath.Join(c.Dir, to), data, 0o600))
				case "itself":
					to = filepath.Base(file)
				}
				require.NoError(t, os.WriteFile(elsewhere, data, 0o600))
				require.NoError(t, os.Symlink(to, file))
			})
			data, err := os.ReadFile(elsewhere)
			require.NoError(t, err)
			assert.True(t, strings.HasSuffix(string(data), "another"), "what is behind the link is as it was")
		})
	}
	t.Run("AQ-03: a pipe nobody writes to", func(t *testing.T) {
		expectReplaced(t, func(t *testing.T, _ *quickstart.FileCache, file string) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, syscall.Mkfifo(file, 0o600))
		})
	})
}
