// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"testing"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrtest"
)

func TestMemory(t *testing.T) {
	mucfrtest.Run(t, func(testing.TB) mucfr.Store { return new(mucfr.Memory) })
}
