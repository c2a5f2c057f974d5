// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// A file of a FileCache has
//
//	fileMagic, which ends with the version of the format,
//	the SHA-256 sum of the magic and of all that follows the sum,
//	account, trust, name and value, each after its length in four bytes, the first
//	of them the most significant.
//
// The key is in it so that a file under the name of another is worth nothing, and
// the sum so that one that was not written to its end is neither.
const fileMagic = "xmppext quickstart\x00\x01"

const (
	fileSumAt  = len(fileMagic)
	fileBodyAt = fileSumAt + sha256.Size
)

// encodeFile returns the content of a file.
func encodeFile(id cacheID, value []byte) []byte {
	data := make([]byte, fileBodyAt, fileSize(id, value))
	copy(data, fileMagic)
	for _, part := range [][]byte{[]byte(id.account), []byte(id.trust), []byte(id.name), value} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part)))
		data = append(data, part...)
	}
	sum := fileSum(data)
	copy(data[fileSumAt:], sum[:])
	return data
}

// fileSize returns the length of what encodeFile returns.
func fileSize(id cacheID, value []byte) int {
	return fileBodyAt + 4*4 + len(id.account) + len(id.trust) + len(id.name) + len(value)
}

// decodeFile returns the value in a file, and whether the file is one for id.
func decodeFile(id cacheID, data []byte) (value []byte, ok bool) {
	if len(data) < fileBodyAt || string(data[:fileSumAt]) != fileMagic {
		return nil, false
	}
	if sum := fileSum(data); !bytes.Equal(sum[:], data[fileSumAt:fileBodyAt]) {
		return nil, false
	}
	var parts [4][]byte
	rest := data[fileBodyAt:]
	for i := range parts {
		if len(rest) < 4 {
			return nil, false
		}
		length := uint64(binary.BigEndian.Uint32(rest))
		rest = rest[4:]
		if length > uint64(len(rest)) {
			return nil, false
		}
		parts[i], rest = rest[:length], rest[length:]
	}
	in := cacheID{string(parts[0]), string(parts[1]), string(parts[2])}
	if len(rest) > 0 || in != id {
		return nil, false
	}
	return parts[3], true
}

// fileSum returns the sum that belongs into data, which has at least fileBodyAt bytes.
func fileSum(data []byte) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat(data[:fileSumAt], data[fileBodyAt:]))
}

// The name of a file is three hashes in hex with a dash between them: of the
// account, the name of the value, and the trust.
// So what Delete has to find is known by the beginning of its name, and what is in
// it need not be read. A file that is being written has more behind that.
const (
	hashLength = 32 // hex digits
	nameLength = 3*hashLength + 2
	tempSuffix = ".new-"
)

// fileName returns the name of the file for id.
func fileName(id cacheID) string {
	return filePrefix(id.account, id.name) + hashOf(id.trust)
}

// filePrefix returns the beginning of the names of all files of an account, or of
// those for the named value.
func filePrefix(account string, name ...string) string {
	prefix := hashOf(account) + "-"
	for _, n := range name {
		prefix += hashOf(n) + "-"
	}
	return prefix
}

// tempName returns a new name for a file that is to become the named one.
func tempName(name string) string { return name + tempSuffix + rand.Text() }

// isFileName reports whether a file is one of a FileCache, and whether it was not
// written to its end.
func isFileName(name string) (ok, temp bool) {
	name, random, temp := strings.Cut(name, tempSuffix)
	if len(name) != nameLength || temp && random == "" {
		return false, false
	}
	for i, hash := range strings.Split(name, "-") {
		if i > 2 || len(hash) != hashLength || strings.Trim(hash, "0123456789abcdef") != "" {
			return false, false
		}
	}
	return true, temp
}

// hashOf returns a hash of 128 bits, so that file names are not too long for any
// file system. Two texts with the same hash would take turns with one file.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:hashLength/2])
}
