// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"mellium.im/xmpp/jid"
)

// ErrNotPrivate means that others may have read or written what a [FileCache] has
// on disk: its directory or the file of a value is a symbolic link, belongs to
// another user, has permissions for other users, or is something else altogether.
// Which it is, is in the error.
var ErrNotPrivate = errors.New("quickstart: the cache on disk is not private")

// FileCache is a [Cache] in a directory, for programs that are started again. Make
// one with [OpenFileCache].
//
// Each value is a file of its own. Its name is made of hashes, and no account can be
// read from it; what is in it is not encrypted.
// A file is replaced as a whole and after it has reached the disk: if the program or
// the machine stops meanwhile, the old value is there or the new one.
// A file that is damaged, has another version or is about something else than its
// name says counts as absent, and is removed.
//
// On Unix the directory has the mode 0700 and the files have 0600. Those with
// permissions for group or others, and those of another user, are refused with
// [ErrNotPrivate], and so are symbolic links. Get does so until the value is replaced
// or deleted. On other systems only symbolic links are refused: choose a directory
// that is private by where it is, such as one below [os.UserCacheDir].
// The directories above are not looked at.
//
// With one value too many, those that were written longest ago are removed. Files
// whose names are not like those of the cache are left alone.
//
// Accounts are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines and processes at once; of two that
// put the same value the last one wins. While several put values at once there may
// be one more than MaxValues, and MaxBytes, for each of them.
// Methods look at the context first, and then block until the disk has done its work.
type FileCache struct {
	// Dir is the directory. It is made when there is something to be kept.
	Dir string

	// MaxValues is how many values are kept.
	// If it is less than one it is [DefaultMaxValues].
	// It must not change while the cache is in use.
	MaxValues int

	// MaxBytes is how many bytes all files together may have: those of keys and
	// values, and about a hundred more for each.
	// If it is less than one it is [DefaultMaxBytes].
	// It must not change while the cache is in use.
	MaxBytes int
}

// OpenFileCache returns the cache in a directory, which is made unless it is there.
// It removes what processes that were killed have left behind.
//
// The error is [ErrNotPrivate], or that of the file system.
func OpenFileCache(dir string) (*FileCache, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("quickstart: file cache: %w", err)
	}
	c := &FileCache{Dir: abs}
	root, err := c.open(true)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := removeStale(root); err != nil {
		return nil, fmt.Errorf("quickstart: file cache: %w", err)
	}
	return c, nil
}

// Get returns a value, or nil if there is none that is as it was put.
func (c *FileCache) Get(ctx context.Context, k Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("quickstart: file cache: %w", err)
	}
	root, err := c.open(false)
	if root == nil {
		return nil, err
	}
	defer root.Close()
	id := k.id()
	name := fileName(id)
	data, info, err := readPrivate(root, name, c.maxBytes())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, ErrNotPrivate):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("quickstart: file cache: %w", err)
	}
	value, ok := decodeFile(id, data)
	if ok {
		return value, nil
	}
	// What somebody has put in its place meanwhile is not removed.
	if now, err := root.Lstat(name); err == nil && os.SameFile(info, now) {
		_ = root.Remove(name) // If that fails, it is not there the next time either.
	}
	return nil, nil
}

// Put replaces a value.
// The error is [ErrTooLarge] if its file would have more than MaxBytes,
// [ErrNotPrivate] because of the directory, or that of the file system.
func (c *FileCache) Put(ctx context.Context, k Key, value []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("quickstart: file cache: %w", err)
	}
	id := k.id()
	size := fileSize(id, value)
	if size > c.maxBytes() {
		return ErrTooLarge
	}
	root, err := c.open(true)
	if err != nil {
		return err
	}
	defer root.Close()
	name := fileName(id)
	err = makeRoom(root, name, cacheLimit(c.MaxValues, DefaultMaxValues)-1, int64(c.maxBytes()-size))
	if err == nil {
		err = replaceFile(root, name, encodeFile(id, value))
	}
	if err != nil {
		return fmt.Errorf("quickstart: file cache: %w", err)
	}
	return nil
}

// Delete removes values of an account, as [Cache] describes it.
// The error is [ErrNotPrivate] because of the directory, or that of the file system;
// what could be removed is removed.
func (c *FileCache) Delete(ctx context.Context, account jid.JID, names ...string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("quickstart: file cache: %w", err)
	}
	root, err := c.open(false)
	if root == nil {
		return err
	}
	defer root.Close()
	of := accountID(account)
	prefixes := []string{filePrefix(of)}
	if len(names) > 0 {
		prefixes = nil
		for _, name := range names {
			prefixes = append(prefixes, filePrefix(of, name))
		}
	}
	all, err := cacheFiles(root)
	errs := []error{err}
	for _, name := range all {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				errs = append(errs, removeFile(root, name))
				break
			}
		}
	}
	syncDir(root)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("quickstart: file cache: %w", err)
	}
	return nil
}

// maxBytes returns a limit within what the lengths in a file can say.
func (c *FileCache) maxBytes() int {
	return min(cacheLimit(c.MaxBytes, DefaultMaxBytes), math.MaxInt32)
}

// open opens the directory. Unless it is to be made, it and the error are nil if
// there is none.
//
// All that follows goes through a Root: whatever becomes of the path meanwhile, it
// is this directory, and nothing outside of it.
func (c *FileCache) open(create bool) (*os.Root, error) {
	dir := filepath.Clean(c.Dir) // With a slash at the end, a link would be followed.
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, nil
		}
		if err = os.MkdirAll(dir, 0o700); err == nil {
			info, err = os.Lstat(dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("quickstart: file cache: %w", err)
	}
	if err := checkPrivate(dir, info, fs.ModeDir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("quickstart: file cache: %w", err)
	}
	if opened, err := root.Stat("."); err != nil || !os.SameFile(info, opened) {
		_ = root.Close()
		return nil, fmt.Errorf("%w: %s was replaced", ErrNotPrivate, dir)
	}
	return root, nil
}

// readPrivate reads a file that must be private. Of one with more than most bytes it
// returns one more than that.
func readPrivate(root *os.Root, name string, most int) ([]byte, fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	// Asked first, so that no link is followed and no device is opened.
	if err := checkPrivate(name, info, 0); err != nil {
		return nil, nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	// Asked again, because it may be another file by now.
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if err := checkPrivate(name, info, 0); err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	return data, info, err
}

// checkPrivate returns ErrNotPrivate unless a file has the type and is private.
func checkPrivate(name string, info fs.FileInfo, kind fs.FileMode) error {
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		return fmt.Errorf("%w: %s is a symbolic link", ErrNotPrivate, name)
	case info.Mode().Type() != kind && kind == fs.ModeDir:
		return fmt.Errorf("%w: %s is no directory", ErrNotPrivate, name)
	case info.Mode().Type() != kind:
		return fmt.Errorf("%w: %s is no regular file", ErrNotPrivate, name)
	}
	return checkOwner(name, info)
}
