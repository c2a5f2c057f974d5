// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// maxWriting is how long a file may be written. Whatever is older was left behind by
// a process that was killed. It is long for a few kilobytes, even on a slow disk.
const maxWriting = time.Minute

// replaceFile writes a file as a whole: there is the old one or the new one, whenever
// anybody looks and whatever happens.
func replaceFile(root *os.Root, name string, data []byte) error {
	temp := tempName(name)
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		if err = root.Rename(temp, name); errors.Is(err, fs.ErrNotExist) {
			// Somebody has deleted the values of the account: this one was the first
			// of them, then.
			return nil
		}
	}
	if err != nil {
		_ = root.Remove(temp) // The first error says what is wrong.
		return err
	}
	syncDir(root)
	return nil
}

// A kept file is what may have to make room.
type keptFile struct {
	name    string
	bytes   int64
	written time.Time
}

// makeRoom removes the files that were written longest ago, until there are so few
// that the named one may be written.
func makeRoom(root *os.Root, name string, values int, bytes int64) error {
	files, err := surveyFiles(root)
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f keptFile) bool { return f.name == name })
	slices.SortFunc(files, func(a, b keptFile) int {
		return cmp.Or(a.written.Compare(b.written), cmp.Compare(a.name, b.name))
	})
	for _, f := range files {
		bytes -= f.bytes
	}
	for len(files) > values || bytes < 0 && len(files) > 0 {
		if err := removeFile(root, files[0].name); err != nil {
			return err
		}
		bytes += files[0].bytes
		files = files[1:]
	}
	return nil
}

// removeStale removes what processes that were killed have left behind.
func removeStale(root *os.Root) error {
	_, err := surveyFiles(root)
	return err
}

// surveyFiles returns the files of the cache, those that others are writing included. It
// removes those that nobody can be writing any more.
func surveyFiles(root *os.Root) ([]keptFile, error) {
	names, err := cacheFiles(root)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	files := make([]keptFile, 0, len(names))
	for _, name := range names {
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // It was written to its end, or deleted.
		}
		if err != nil {
			return nil, err
		}
		// The clock may have been set back.
		if _, temp := isFileName(name); temp && now.Sub(info.ModTime()).Abs() > maxWriting {
			if err := removeFile(root, name); err != nil {
				return nil, err
			}
			continue
		}
		files = append(files, keptFile{name, info.Size(), info.ModTime()})
	}
	return files, nil
}

// cacheFiles returns the names of all files of the cache.
func cacheFiles(root *os.Root) ([]string, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return slices.DeleteFunc(names, func(name string) bool {
		ok, _ := isFileName(name)
		return !ok
	}), err
}

// removeFile removes a file, which may be gone already.
func removeFile(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
