// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package xmlname knows which names of elements and attributes can be written again.
//
// Package encoding/xml checks a name together with its prefix, and so reads some that
// are none by themselves, as in <p:1/>. It also reads names that begin with letters of
// which XML parsers do not agree that they are. Whoever writes such a name for others
// makes these end their streams.
package xmlname

import (
	"encoding/xml"
	"strings"
)

// first are the characters that names begin with in all protocols.
const first = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Safe reports whether a name, as encoding/xml has read it, is one without its prefix.
func Safe(name xml.Name) bool {
	return strings.IndexAny(name.Local, first) == 0 && !strings.Contains(name.Local, ":")
}
