// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	mstanza "mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mucfr"
)

// TestClientSpecification plays the examples of XEP-0311 from the client's side.
func TestClientSpecification(t *testing.T) {
	tr, err := xmpptest.ReadTranscript("testdata/client-specification.txt")
	require.NoError(t, err)
	o := mucfr.NewOccupancy(jid.MustParse("orchard@chat.capulet.lit/Romeo"))
	var got []string
	for _, flight := range tr.Flights() {
		if flight.Side == xmpptest.Client {
			assert.Equal(t, clientCanonical(t, flight.Text), clientCanonical(t, occEntering(t, o)))
			got = append(got, "join")
			continue
		}
		for r := occTokens(flight.Text); ; {
			c, err := o.Apply(r)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
			kind := c.Kind.String()
			if c.Resumed {
				kind += ", resumed"
			}
			got = append(got, kind)
		}
	}
	assert.Equal(t, []string{
		"join", "occupant entered", "room joined",
		"join", "room joined, resumed", "history truncated",
		"join", "room reset", "room joined", "no change",
		"join",
	}, got)
}

// occEntering returns the presence by which the client of the specification enters.
func occEntering(t *testing.T, o *mucfr.Occupancy) string {
	t.Helper()
	p := mstanza.Presence{From: jid.MustParse("romeo@montague.lit/lane"), To: o.Address()}
	x := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: muc.NS, Local: "x"}})
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	_, err := xmlstream.Copy(e, p.Wrap(xmlstream.MultiReader(x, o.Join("").TokenReader())))
	require.NoError(t, err)
	require.NoError(t, e.Flush())
	return b.String()
}
