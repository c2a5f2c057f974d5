// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

// typical is a message of the usual size.
const typical = `<message xmlns="jabber:client" from="juliet@capulet.example/balcony" to="romeo@montague.example/garden" type="chat" id="5b3f6a0e">` +
	`<body>What man art thou that, thus bescreen'd in night, so stumblest on my counsel?</body>` +
	`<thread>0e3141cd80894871a68e6fe6b1ec56fa</thread>` +
	`<active xmlns="http://jabber.org/protocol/chatstates"/><request xmlns="urn:xmpp:receipts"/><markable xmlns="urn:xmpp:chat-markers:0"/></message>`

// BenchmarkContentWatch compares what the tokens of a message cost with and without
// Watch. They are in memory, so nothing but Watch is measured.
func BenchmarkContentWatch(b *testing.B) {
	tokens, err := all(reader(typical))
	if err != nil {
		b.Fatal(err)
	}
	run := func(b *testing.B, watch bool) {
		b.ReportAllocs()
		for b.Loop() {
			var c carbons.Content
			r := (carbons.Copy{Tokens: tokens}).TokenReader()
			if watch {
				r = c.Watch(r)
			}
			for {
				if _, err := r.Token(); errors.Is(err, io.EOF) {
					break
				}
			}
			if c.Eligible(carbons.Received) != watch {
				b.Fatal("it is eligible only if it was watched")
			}
		}
	}
	b.Run("without", func(b *testing.B) { run(b, false) })
	b.Run("with", func(b *testing.B) { run(b, true) })
}

// BenchmarkRead includes the parser.
func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		c, err := carbons.Read(reader(typical))
		if err != nil || !c.Eligible(carbons.Received) {
			b.Fatal(c, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	message, buf := []byte(typical), make([]byte, 0, 4096)
	for b.Loop() {
		buf = carbons.Append(buf[:0], carbons.Received, home, stanza.ChatMessage, message)
	}
	if !strings.Contains(string(buf), typical) {
		b.Fatal("the message is not in its copy")
	}
}

// BenchmarkRecent decides when as much is remembered as can be, and of an error that
// answers nothing of it.
func BenchmarkRecent(b *testing.B) {
	var r carbons.Recent
	message := read(b, typical)
	for range 256 {
		r.Eligible(carbons.Received, message)
	}
	unknown := read(b, `<message xmlns="jabber:client" to="juliet@capulet.example" type="error" id="unknown"/>`)
	b.Run("message", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !r.Eligible(carbons.Received, message) {
				b.Fatal("it is not eligible")
			}
		}
	})
	b.Run("error", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.Eligible(carbons.Sent, unknown) {
				b.Fatal("it answers nothing")
			}
		}
	})
}

func BenchmarkUnwrap(b *testing.B) {
	s := string(carbons.Append(nil, carbons.Received, home, stanza.ChatMessage, []byte(typical)))
	b.ReportAllocs()
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		if _, err := carbons.Unwrap(romeo, stanza.Message{}, reader(s)); err != nil {
			b.Fatal(err)
		}
	}
}
