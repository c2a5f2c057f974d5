// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"hash"
	"slices"
	"strings"
)

// NSCaps is the namespace of entity capabilities.
const NSCaps = "http://jabber.org/protocol/caps"

// Caps are how an entity says what it can do, in a presence or as a stream feature
// (XEP-0115, section 4). The zero value says nothing.
//
// It takes the place of mellium's disco.Caps, which cannot be read if the hash is one
// that mellium does not know.
type Caps struct {
	Hash string `json:"hash"` // name of the hash function, such as "sha-1"
	Node string `json:"node"` // URI of the software
	Ver  string `json:"ver"`  // hash of what the entity says about itself
}

// UnmarshalXML reads the element c. Its only errors are those of d.
func (c *Caps) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	*c = Caps{Hash: attribute(start, "hash"), Node: attribute(start, "node"), Ver: attribute(start, "ver")}
	return d.Skip()
}

// hashes are the hash functions that can be verified.
var hashes = map[string]func() hash.Hash{
	"sha-1": sha1.New, "sha-224": sha256.New224, "sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New,
}

// sum returns the hash, or nil if it is no hash of a function that is known.
func (c Caps) sum() []byte {
	f := hashes[c.Hash]
	if f == nil || len(c.Ver) > base64.StdEncoding.EncodedLen(sha512.Size) {
		return nil
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(c.Ver)
	if err != nil || len(sum) != f().Size() || strings.ContainsAny(c.Ver, "\r\n") {
		return nil
	}
	return sum
}

// Verdicts on what an entity has said.
var (
	errIllFormed = errors.New("it names something twice")
	errAmbiguous = errors.New("something else has the same hash")
	errOtherHash = errors.New("its hash is another one")
)

// verify compares the hash with what the entity has said (XEP-0115, section 5.4).
//
// The string that is hashed does not tell where a value ends and what it is: an
// attacker could have something of his own taken for what others can do. So of the ways
// to read a string, one only is taken, and errAmbiguous is the verdict on all others: no
// value has what ends one; what can be an identity is one, and what can be a feature
// then is one. An entity whose form could begin as a feature is itself not read so: of
// it, others may have it said that the form's type is a feature.
func (c Caps) verify(q *discoQuery) error {
	if err := q.wellFormed(); err != nil {
		return err
	}
	s, plain := q.verification()
	h := hashes[c.Hash]()
	h.Write([]byte(s))
	if !slices.Equal(h.Sum(nil), c.sum()) {
		return errOtherHash
	}
	if !plain {
		return errAmbiguous
	}
	return nil
}

// wellFormed returns errIllFormed if something is there twice.
func (q *discoQuery) wellFormed() error {
	identities := make(map[discoIdentity]bool)
	for _, i := range q.Identities {
		if identities[i] {
			return errIllFormed
		}
		identities[i] = true
	}
	features := make(map[string]bool)
	for _, f := range q.Features {
		if features[f.Var] {
			return errIllFormed
		}
		features[f.Var] = true
	}
	forms := make(map[string]bool)
	for _, f := range q.Forms {
		kind, ok := f.kind()
		if !ok {
			continue
		}
		if forms[kind] || len(slices.Compact(slices.Sorted(slices.Values(f.values("FORM_TYPE"))))) > 1 {
			return errIllFormed
		}
		forms[kind] = true
	}
	return nil
}

// verification returns the string that is hashed, and whether it can be read in one
// way only. It sorts what is in q by its bytes (XEP-0115, section 5.1).
//
// Mellium's disco.Info.Hash does not do: it does not sort forms, counts those that are
// to be left out, takes the first of two fields of a name twice, and panics on a form
// without fields (v0.23.0).
func (q *discoQuery) verification() (s string, plain bool) {
	var b strings.Builder
	plain = len(q.Identities) > 0
	write := func(value string) {
		plain = plain && !strings.Contains(value, "<")
		b.WriteString(value + "<")
	}
	slices.SortFunc(q.Identities, func(x, y discoIdentity) int {
		return cmp.Or(cmp.Compare(x.Category, y.Category), cmp.Compare(x.Type, y.Type), cmp.Compare(x.Lang, y.Lang), cmp.Compare(x.Name, y.Name))
	})
	for _, i := range q.Identities {
		plain = plain && i.Category != "" && i.Type != "" && !strings.Contains(i.Category+i.Type+i.Lang, "/")
		write(i.Category + "/" + i.Type + "/" + i.Lang + "/" + i.Name)
	}
	slices.SortFunc(q.Features, func(x, y discoFeature) int { return cmp.Compare(x.Var, y.Var) })
	last := ""
	for _, f := range q.Features {
		plain = plain && f.Var != "" && !likeIdentity(f.Var)
		write(f.Var)
		last = f.Var
	}
	var forms []discoForm
	for _, f := range q.Forms {
		if _, ok := f.kind(); ok {
			forms = append(forms, f)
		}
	}
	slices.SortFunc(forms, func(x, y discoForm) int {
		a, _ := x.kind()
		b, _ := y.kind()
		return cmp.Compare(a, b)
	})
	for i, f := range forms {
		kind, _ := f.kind()
		// Behind the last feature by order, it could be one.
		plain = plain && (i > 0 || kind < last)
		write(kind)
		slices.SortStableFunc(f.Fields, func(x, y discoField) int { return cmp.Compare(x.Var, y.Var) })
		for j, field := range f.Fields {
			if field.Var == "FORM_TYPE" {
				continue
			}
			plain = plain && (j == 0 || f.Fields[j-1].Var != field.Var)
			write(field.Var)
			for _, v := range slices.Sorted(slices.Values(field.Values)) {
				write(v)
			}
		}
	}
	return b.String(), plain
}

// likeIdentity reports whether a feature could be an identity.
func likeIdentity(feature string) bool {
	parts := strings.SplitN(feature, "/", 4)
	return len(parts) == 4 && parts[0] != "" && parts[1] != ""
}
