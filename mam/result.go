// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
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

// result returns the message that carries an item.
func result(iq stanza.IQ, queryID string, item Item, view View) xml.TokenReader {
	attrs := []xml.Attr{attr("id", item.ID)}
	if queryID != "" {
		attrs = append(attrs, attr("queryid", queryID))
	}
	delay := xmlstream.Wrap(nil, xml.StartElement{
		Name: xml.Name{Space: nsDelay, Local: "delay"}, Attr: []xml.Attr{attr("stamp", formatTime(item.Stamp))},
	})
	message := xml.StartElement{Name: xml.Name{Space: iq.XMLName.Space, Local: "message"}}
	if !iq.To.Equal(jid.JID{}) {
		message.Attr = append(message.Attr, attr("from", iq.To.String()))
	}
	if !iq.From.Equal(jid.JID{}) {
		message.Attr = append(message.Attr, attr("to", iq.From.String()))
	}
	return xmlstream.Wrap(
		xmlstream.Wrap(
			xmlstream.Wrap(
				xmlstream.MultiReader(delay, original(item, view)),
				xml.StartElement{Name: xml.Name{Space: nsFwd, Local: "forwarded"}},
			),
			xml.StartElement{Name: xml.Name{Space: NS, Local: "result"}, Attr: attrs},
		),
		message,
	)
}

// original returns the message of an item as a view shows it, or nothing if there
// is none that can be read.
func original(item Item, view View) xml.TokenReader {
	tokens, err := tokensOf(item.XML)
	if err != nil {
		return xmlstream.MultiReader()
	}
	r := tokenReader(tokens)
	if !view.Room {
		return r
	}
	start := tokens[0].(xml.StartElement)
	start.Attr = withoutAttr(start.Attr, "to")
	inner := removing(tokenReader(tokens[1:len(tokens)-1]), func(start xml.StartElement) bool {
		return isPublisher(start) && !view.RealJIDs
	})
	return xmlstream.Wrap(inner, start)
}

// errNoMessage means that stored XML is not one message.
var errNoMessage = errors.New("mam: not a message element")

// tokensOf returns the tokens of one complete message element.
func tokensOf(message []byte) ([]xml.Token, error) {
	d := xml.NewDecoder(bytes.NewReader(message))
	var (
		tokens []xml.Token
		depth  int
	)
	for {
		tok, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && depth == 0 && len(tokens) > 0:
			return tokens, nil
		case err != nil:
			return nil, errNoMessage
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 && (len(tokens) > 0 || t.Name.Local != "message") {
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
