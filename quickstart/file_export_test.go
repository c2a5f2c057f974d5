// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

// ResumFile makes the checksum in the content of a FileCache's file the right one, if
// there is room for one. It changes data.
func ResumFile(data []byte) []byte {
	if len(data) >= fileBodyAt {
		sum := fileSum(data)
		copy(data[fileSumAt:], sum[:])
	}
	return data
}

// EncodeFile returns the content of the file for a value.
func EncodeFile(k Key, value []byte) []byte { return encodeFile(k.id(), value) }
