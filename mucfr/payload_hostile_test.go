// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

func TestHostilePayload(t *testing.T) {
	t.Run("an attribute comes once, whatever its prefix is", func(t *testing.T) {
		// A namespace may have the name of the prefix that others have.
		p := payload(t, `<body xmlns:a="xml" a:lang="x" xml:lang="y">hi</body>`)
		assert.Equal(t, 1, strings.Count(p.String(), "xml:lang="), p.String())
	})
	t.Run("a namespace is paid for each time that it is written", func(t *testing.T) {
		var b strings.Builder
		b.WriteString(`<body xmlns:p="` + strings.Repeat("x", mucfr.MaxPayload/2) + `"`)
		for i := range 500 {
			fmt.Fprintf(&b, ` p:a%d=""`, i)
		}
		b.WriteString("/>")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(b.String())))
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, mucfr.ErrTooLarge)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16*mucfr.MaxPayload))
	})
	t.Run("what is stored is read as it was written", func(t *testing.T) {
		p := payload(t, `<body>hi</body><p:xmlns xmlns:p="x"><p:a/><p:a/></p:xmlns>`)
		assert.Equal(t, p, payload(t, p.String()))
	})
	t.Run("nothing that is said keeps a room from being opened", func(t *testing.T) {
		p := payload(t, `<body>hi</body><p:xmlns xmlns:p="`+strings.Repeat("x", 1000)+`">`+strings.Repeat("<p:a/>", 1000)+"</p:xmlns>")
		ctx, store := context.Background(), new(mucfr.Memory)
		r, err := mucfr.OpenRoom(ctx, orchard, mucfr.Options{}, store)
		require.NoError(t, err)
		_, err = r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant})
		require.NoError(t, err)
		_, err = r.Say(full("romeo"), "", p)
		require.NoError(t, err)
		require.NoError(t, r.Close(ctx))
		_, err = mucfr.OpenRoom(ctx, orchard, mucfr.Options{}, store)
		assert.NoError(t, err)
	})
}
