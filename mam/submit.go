// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"encoding/xml"
	"strconv"

	"mellium.im/xmlstream"
)

// reader returns the query element.
func (q Query) reader(id string) xml.TokenReader {
	field := func(name string, values ...string) xml.TokenReader {
		var inner []xml.TokenReader
		for _, v := range values {
			inner = append(inner, text("value", v))
		}
		return xmlstream.Wrap(xmlstream.MultiReader(inner...), xml.StartElement{Name: xml.Name{Local: "field"}, Attr: []xml.Attr{attr("var", name)}})
	}
	fields := []xml.TokenReader{xmlstream.Wrap(text("value", NS), xml.StartElement{
		Name: xml.Name{Local: "field"}, Attr: []xml.Attr{attr("var", fieldType), attr("type", "hidden")},
	})}
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, field(name, value))
		}
	}
	add(fieldWith, q.With.String())
	if !q.Start.IsZero() {
		add(fieldStart, formatTime(q.Start))
	}
	if !q.End.IsZero() {
		add(fieldEnd, formatTime(q.End))
	}
	add(fieldAfter, q.AfterID)
	add(fieldBefore, q.BeforeID)
	if len(q.IDs) > 0 { // An empty one too: it must not stand for everything.
		fields = append(fields, field(fieldIDs, q.IDs...))
	}
	if q.WithoutGroupChat {
		add(fieldGroupChat, "false")
	}
	set := []xml.TokenReader{text("max", strconv.Itoa(q.Max))}
	switch {
	case q.From.After != "":
		set = append(set, text("after", q.From.After))
	case q.From.Before != "":
		set = append(set, text("before", q.From.Before))
	case q.From.Last:
		set = append(set, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "before"}}))
	case q.From.Index > 0:
		set = append(set, text("index", strconv.FormatInt(q.From.Index, 10)))
	}
	inner := []xml.TokenReader{
		xmlstream.Wrap(xmlstream.MultiReader(fields...), xml.StartElement{Name: xml.Name{Space: nsForm, Local: "x"}, Attr: []xml.Attr{attr("type", "submit")}}),
		xmlstream.Wrap(xmlstream.MultiReader(set...), xml.StartElement{Name: xml.Name{Space: nsRSM, Local: "set"}}),
	}
	if q.Flip {
		inner = append(inner, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "flip-page"}}))
	}
	return xmlstream.Wrap(xmlstream.MultiReader(inner...), xml.StartElement{Name: xml.Name{Space: NS, Local: "query"}, Attr: []xml.Attr{attr("queryid", id)}})
}
