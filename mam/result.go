// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// formatTime writes a time (XEP-0082).
func formatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.999999Z")
}

func attr(local, value string) xml.Attr {
	return xml.Attr{Name: xml.Name{Local: local}, Value: value}
}

func text(local, value string, attrs ...xml.Attr) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(value)), xml.StartElement{Name: xml.Name{Local: local}, Attr: attrs})
}

// A frame is what is around all items of a page. Its attributes are not changed.
type frame struct {
	message, result xml.StartElement
	view            View
}

func newFrame(iq stanza.IQ, queryID string, view View) frame {
	f := frame{
		message: xml.StartElement{Name: xml.Name{Space: iq.XMLName.Space, Local: "message"}},
		result:  xml.StartElement{Name: xml.Name{Space: NS, Local: "result"}},
		view:    view,
	}
	if !iq.To.Equal(jid.JID{}) {
		f.message.Attr = append(f.message.Attr, attr("from", iq.To.String()))
	}
	if !iq.From.Equal(jid.JID{}) {
		f.message.Attr = append(f.message.Attr, attr("to", iq.From.String()))
	}
	f.result.Attr = []xml.Attr{attr("id", "")}
	if queryID != "" {
		f.result.Attr = append(f.result.Attr, attr("queryid", queryID))
	}
	return f
}

var forwardedName = xml.Name{Space: nsFwd, Local: "forwarded"}

// of returns the message that carries an item. It replaces tokens, which it may
// use.
func (f frame) of(item Item, tokens []xml.Token) []xml.Token {
	message, result := f.message, f.result
	message.Attr, result.Attr = slices.Clone(message.Attr), slices.Clone(result.Attr)
	result.Attr[0].Value = item.ID
	delay := xml.StartElement{Name: xml.Name{Space: nsDelay, Local: "delay"}, Attr: []xml.Attr{attr("stamp", formatTime(item.Stamp))}}
	tokens = append(tokens[:0], message, result, xml.StartElement{Name: forwardedName}, delay, delay.End())
	tokens = f.original(item, tokens)
	return append(tokens, xml.EndElement{Name: forwardedName}, result.End(), message.End())
}

// original appends the message of an item as the view shows it, or nothing if there
// is none that can be read.
func (f frame) original(item Item, tokens []xml.Token) []xml.Token {
	begin := len(tokens)
	all, err := tokensOf(tokens, item.XML)
	if err != nil {
		return tokens
	}
	if !f.view.Room {
		return all
	}
	start := all[begin].(xml.StartElement)
	start.Attr = withoutAttr(start.Attr, "to")
	inner := removing(tokenReader(all[begin+1:len(all)-1]), func(start xml.StartElement) bool {
		return isPublisher(start) && !f.view.RealJIDs
	})
	kept := append(all[:begin], start) // It never overtakes inner.
	for tok, err := inner.Token(); tok != nil && err == nil; tok, err = inner.Token() {
		kept = append(kept, tok)
	}
	return append(kept, start.End())
}

// errNoMessage means that stored XML is not one message.
var errNoMessage = errors.New("mam: not a message element")

// tokensOf appends to tokens those of one complete message element. They may share
// its memory.
func tokensOf(tokens []xml.Token, message []byte) ([]xml.Token, error) {
	if tokens, ok := plainTokens(tokens, message); ok {
		return tokens, nil
	}
	d := xml.NewDecoder(bytes.NewReader(message))
	begin, depth := len(tokens), 0
	for {
		tok, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && depth == 0 && len(tokens) > begin:
			return tokens, nil
		case err != nil:
			return nil, errNoMessage
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 && (len(tokens) > begin || t.Name.Local != "message") {
				return nil, errNoMessage
			}
			depth++
			// Encoding/xml declares namespaces by itself, from the names.
			t.Attr = withoutDeclarations(t.Attr)
			tok = t
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 {
				continue
			}
		default:
			return nil, errNoMessage
		}
		tokens = append(tokens, xml.CopyToken(tok))
	}
}

// withoutDeclarations leaves out declarations of namespaces.
func withoutDeclarations(attrs []xml.Attr) []xml.Attr {
	var kept []xml.Attr
	for _, a := range attrs {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			kept = append(kept, a)
		}
	}
	return kept
}

func withoutAttr(attrs []xml.Attr, local string) []xml.Attr {
	var kept []xml.Attr
	for _, a := range attrs {
		if a.Name != (xml.Name{Local: local}) {
			kept = append(kept, a)
		}
	}
	return kept
}

func tokenReader(tokens []xml.Token) xml.TokenReader {
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		if len(tokens) == 0 {
			return nil, io.EOF
		}
		tok := tokens[0]
		tokens = tokens[1:]
		return tok, nil
	})
}

// removing leaves out the elements at the top of r that are not wanted.
func removing(r xml.TokenReader, unwanted func(xml.StartElement) bool) xml.TokenReader {
	depth, skipping := 0, false
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		for {
			tok, err := r.Token()
			if tok == nil {
				return nil, err
			}
			hidden := skipping
			switch t := tok.(type) {
			case xml.StartElement:
				if depth == 0 && unwanted(t) {
					skipping, hidden = true, true
				}
				depth++
			case xml.EndElement:
				if depth--; depth == 0 {
					skipping = false
				}
			}
			if !hidden {
				return tok, err
			}
		}
	})
}

// fin returns what ends the answer to a query.
func fin(items []Item, page Page) xml.TokenReader {
	var set []xml.TokenReader
	if len(items) > 0 {
		var index []xml.Attr
		if page.First >= 0 {
			index = []xml.Attr{attr("index", strconv.FormatInt(page.First, 10))}
		}
		set = append(set, text("first", items[0].ID, index...), text("last", items[len(items)-1].ID))
	}
	if page.Count >= 0 {
		set = append(set, text("count", strconv.FormatInt(page.Count, 10)))
	}
	var attrs []xml.Attr
	if page.Complete {
		attrs = append(attrs, attr("complete", "true"))
	}
	if page.Unstable {
		attrs = append(attrs, attr("stable", "false"))
	}
	return xmlstream.Wrap(
		xmlstream.Wrap(xmlstream.MultiReader(set...), xml.StartElement{Name: xml.Name{Space: nsRSM, Local: "set"}}),
		xml.StartElement{Name: xml.Name{Space: NS, Local: "fin"}, Attr: attrs},
	)
}

// formReader returns the form that tells what can be asked for.
func formReader() xml.TokenReader {
	field := func(name, typ string, inner ...xml.TokenReader) xml.TokenReader {
		return xmlstream.Wrap(xmlstream.MultiReader(inner...), xml.StartElement{
			Name: xml.Name{Local: "field"}, Attr: []xml.Attr{attr("var", name), attr("type", typ)},
		})
	}
	const nsValidate = "http://jabber.org/protocol/xdata-validate"
	open := xmlstream.Wrap(
		xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "open"}}),
		xml.StartElement{Name: xml.Name{Space: nsValidate, Local: "validate"}, Attr: []xml.Attr{attr("datatype", "xs:string")}},
	)
	return xmlstream.Wrap(
		xmlstream.Wrap(
			xmlstream.MultiReader(
				field(fieldType, "hidden", text("value", NS)),
				field(fieldWith, "jid-single"),
				field(fieldStart, "text-single"),
				field(fieldEnd, "text-single"),
				field(fieldBefore, "text-single"),
				field(fieldAfter, "text-single"),
				field(fieldIDs, "list-multi", open),
				field(fieldGroupChat, "boolean"),
			),
			xml.StartElement{Name: xml.Name{Space: nsForm, Local: "x"}, Attr: []xml.Attr{attr("type", "form")}},
		),
		xml.StartElement{Name: xml.Name{Space: NS, Local: "query"}},
	)
}

// same reports whether two addresses are the same, resources included if both
// have one.
func same(pattern, j jid.JID) bool {
	if pattern.Resourcepart() == "" {
		j = j.Bare()
	}
	return pattern.Equal(j)
}
