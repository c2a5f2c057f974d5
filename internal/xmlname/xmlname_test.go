// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmlname_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/xmlname"
)

func TestSafe(t *testing.T) {
	for text, want := range map[string]bool{
		"<a/>": true, "<_a.-1/>": true, "<p:body xmlns:p='u'/>": true, "<p:é xmlns:p='u'/>": false,
		"<p:1 xmlns:p='u'/>": false, "<p:-id xmlns:p='u'/>": false, "<p:.a xmlns:p='u'/>": false, "<:a/>": false, "<a:/>": false,
	} {
		tok, err := xml.NewDecoder(strings.NewReader(text)).Token()
		require.NoError(t, err, text)
		assert.Equal(t, want, xmlname.Safe(tok.(xml.StartElement).Name), text)
	}
	assert.False(t, xmlname.Safe(xml.Name{}))
}
