// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/xmppext/xmppext/carbons"
)

func TestRecent(t *testing.T) {
	const juliet, garden = "juliet@capulet.example", "romeo@montague.example/garden"
	identified := func(id, message string) carbons.Content {
		return read(t, strings.Replace(message, " from=", fmt.Sprintf(" id=%q from=", id), 1))
	}
	sent := func(id, inner string) carbons.Content { return identified(id, message(garden, juliet, "chat", inner)) }
	bounce := func(id, from string) carbons.Content {
		return identified(id, message(from, garden, "error", failed))
	}

	t.Run("CA-05: an error that answers what was sent", func(t *testing.T) {
		var r carbons.Recent
		assert.True(t, r.Eligible(carbons.Sent, sent("1", body)))
		assert.True(t, r.Eligible(carbons.Received, bounce("1", juliet)))
		assert.True(t, r.Eligible(carbons.Received, bounce("1", juliet+"/balcony")), "by a resource of hers")
	})
	t.Run("CA-05: an error that answers what was received", func(t *testing.T) {
		var r carbons.Recent
		assert.True(t, r.Eligible(carbons.Received, identified("1", message(juliet, garden, "chat", body))))
		assert.True(t, r.Eligible(carbons.Sent, identified("1", message(garden, juliet, "error", failed))))
	})
	t.Run("AC-14: an error that answers nothing", func(t *testing.T) {
		var r carbons.Recent
		r.Eligible(carbons.Sent, sent("1", body))
		assert.False(t, r.Eligible(carbons.Received, bounce("2", juliet)), "an invented id")
		assert.False(t, r.Eligible(carbons.Received, bounce("1", "tybalt@capulet.example")), "somebody else")
		assert.False(t, r.Eligible(carbons.Sent, identified("1", message(garden, juliet, "error", failed))), "the other direction")
		r.Eligible(carbons.Sent, sent("net1", body))
		assert.False(t, r.Eligible(carbons.Received, bounce("1", juliet+"net")), "an address and an id that read the same together")
	})
	t.Run("AC-14: an error that answers what was not copied", func(t *testing.T) {
		var r carbons.Recent
		assert.False(t, r.Eligible(carbons.Sent, sent("1", body+private)))
		assert.False(t, r.Eligible(carbons.Received, bounce("1", juliet)))
	})
	t.Run("AC-14: an error that answers an error", func(t *testing.T) {
		var r carbons.Recent
		r.Eligible(carbons.Sent, sent("1", body))
		assert.True(t, r.Eligible(carbons.Received, bounce("1", juliet)))
		assert.False(t, r.Eligible(carbons.Sent, identified("1", message(garden, juliet, "error", failed))))
	})
	t.Run("AC-14: an error without an id", func(t *testing.T) {
		var r carbons.Recent
		r.Eligible(carbons.Sent, read(t, message(garden, juliet, "chat", body)))
		assert.False(t, r.Eligible(carbons.Received, read(t, message(juliet, garden, "error", failed))))
	})
	t.Run("the caller knows better", func(t *testing.T) {
		var r carbons.Recent
		c := bounce("1", juliet)
		c.Answers = true
		assert.True(t, r.Eligible(carbons.Received, c))
	})
	t.Run("it remembers 256 messages", func(t *testing.T) {
		var r carbons.Recent
		for i := range 600 {
			r.Eligible(carbons.Sent, sent(fmt.Sprint(i), body))
		}
		for i := range 600 {
			assert.Equal(t, i >= 600-256, r.Eligible(carbons.Received, bounce(fmt.Sprint(i), juliet)), i)
		}
	})
	t.Run("what is received takes no room from what is sent", func(t *testing.T) {
		var r carbons.Recent
		r.Eligible(carbons.Sent, sent("1", body))
		for i := range 1000 {
			r.Eligible(carbons.Received, identified(fmt.Sprint(i), message(juliet, garden, "chat", body)))
		}
		assert.True(t, r.Eligible(carbons.Received, bounce("1", juliet)))
	})
	t.Run("several goroutines", func(t *testing.T) {
		var (
			r  carbons.Recent
			wg sync.WaitGroup
		)
		for i := range 4 {
			wg.Go(func() {
				for j := range 50 {
					id := fmt.Sprint(i, "-", j)
					r.Eligible(carbons.Sent, sent(id, body))
					assert.True(t, r.Eligible(carbons.Received, bounce(id, juliet)))
				}
			})
		}
		wg.Wait()
	})
}
