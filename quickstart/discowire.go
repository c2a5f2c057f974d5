// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"encoding/json"
	"encoding/xml"

	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/form"
)

const (
	// maxInfoBytes bounds the text of an answer, and maxInfoTokens what it is made of.
	// Servers with many modules have some kilobytes, and two hundred features.
	maxInfoBytes  = 64 << 10
	maxInfoTokens = 8 << 10
)

// discoQuery is what an entity says about itself (XEP-0030, section 3.1, and XEP-0128).
// With JSON it is kept.
type discoQuery struct {
	Node       string          `xml:"node,attr" json:"node,omitempty"`
	Identities []discoIdentity `xml:"http://jabber.org/protocol/disco#info identity" json:"identities"`
	Features   []discoFeature  `xml:"http://jabber.org/protocol/disco#info feature" json:"features"`
	Forms      []discoForm     `xml:"jabber:x:data x" json:"forms,omitempty"`
}

type discoIdentity struct {
	Category string `xml:"category,attr" json:"category"`
	Type     string `xml:"type,attr" json:"type"`
	Name     string `xml:"name,attr" json:"name,omitempty"`
	Lang     string `xml:"http://www.w3.org/XML/1998/namespace lang,attr" json:"lang,omitempty"`
}

type discoFeature struct {
	Var string `xml:"var,attr" json:"var"`
}

type discoForm struct {
	XMLName xml.Name     `xml:"jabber:x:data x" json:"-"`
	Type    string       `xml:"type,attr" json:"type,omitempty"`
	Fields  []discoField `xml:"jabber:x:data field" json:"fields"`
}

type discoField struct {
	Var    string   `xml:"var,attr,omitempty" json:"var"`
	Type   string   `xml:"type,attr,omitempty" json:"type,omitempty"`
	Values []string `xml:"jabber:x:data value" json:"values"`
}

// kind returns the FORM_TYPE of a form. Without one, and if it is not hidden, the form
// does not count.
func (f discoForm) kind() (name string, ok bool) {
	for _, field := range f.Fields {
		if field.Var == "FORM_TYPE" {
			if field.Type != string(form.TypeHidden) || len(field.Values) == 0 {
				return "", false
			}
			return field.Values[0], true
		}
	}
	return "", false
}

// values returns the values of all fields of a name.
func (f discoForm) values(name string) []string {
	var all []string
	for _, field := range f.Fields {
		if field.Var == name {
			all = append(all, field.Values...)
		}
	}
	return all
}

// readInfo reads the answer to a question of what an entity can do. Its error is
// errLimit, a stanza.Error, also if there is nothing in a result, or what reading from
// the stream has said.
func readInfo(r xml.TokenReader, start xml.StartElement) (*discoQuery, error) {
	iq := struct {
		Query *discoQuery `xml:"http://jabber.org/protocol/disco#info query"`
		Error *wireError  `xml:"jabber:client error"`
	}{}
	err := decode(r, start, limits{tokens: maxInfoTokens, text: maxInfoBytes}, &iq)
	if err != nil {
		return nil, err
	}
	if isError(start) || iq.Query == nil {
		return nil, answerError(iq.Error)
	}
	return iq.Query, nil
}

// info returns it as mellium has it. Forms have the names, types and values of their
// fields.
func (q *discoQuery) info() disco.Info {
	i := disco.Info{InfoQuery: disco.InfoQuery{
		XMLName: xml.Name{Space: disco.NSInfo, Local: "query"}, Node: q.Node,
	}}
	for _, identity := range q.Identities {
		i.Identity = append(i.Identity, info.Identity{
			XMLName:  xml.Name{Space: disco.NSInfo, Local: "identity"},
			Category: identity.Category, Type: identity.Type, Name: identity.Name, Lang: identity.Lang,
		})
	}
	for _, f := range q.Features {
		i.Features = append(i.Features, info.Feature{XMLName: xml.Name{Space: disco.NSInfo, Local: "feature"}, Var: f.Var})
	}
	for _, f := range q.Forms {
		b, err := xml.Marshal(f)
		if err != nil {
			continue
		}
		var data form.Data
		if xml.Unmarshal(b, &data) == nil { // It reads all that is in there.
			i.Form = append(i.Form, data)
		}
	}
	return i
}

// encodeInfo returns what is kept.
func encodeInfo(q *discoQuery) ([]byte, error) { return json.Marshal(q) }

// decodeInfo returns what was kept, or nil.
func decodeInfo(b []byte) *discoQuery {
	q := new(discoQuery)
	if b == nil || json.Unmarshal(b, q) != nil {
		return nil
	}
	return q
}
