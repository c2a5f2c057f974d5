// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// steps returns the bytes of the specification's examples by their number.
func steps(t testing.TB) map[string]string {
	t.Helper()
	tr, err := xmpptest.ReadTranscript("testdata/specification.txt")
	require.NoError(t, err)
	steps := make(map[string]string)
	step := ""
	for _, line := range tr.Flights() {
		if line.Kind == xmpptest.Stage {
			step = strings.TrimPrefix(line.Text, "step ")
			continue
		}
		steps[step] = line.Text
	}
	require.Len(t, steps, 7)
	return steps
}

// tidy is an example without white space between its elements, and without the
// white space that RFC 6120 does not allow within SASL.
func tidy(example string) string {
	var b strings.Builder
	for _, field := range regexp.MustCompile(`<[^>]*>|[^<]+`).FindAllString(example, -1) {
		if !strings.HasPrefix(field, "<") {
			field = strings.Join(strings.Fields(field), "")
		}
		b.WriteString(field)
	}
	return b.String()
}

// tokens are the tags and the text of XML without white space, with attributes
// in the order of their names.
func tokens(t testing.TB, s string) (all []any) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	d.Strict = false
	for {
		tok, err := d.RawToken()
		if err != nil {
			return all
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			attrs := make(map[xml.Name]string)
			for _, a := range tok.Attr {
				attrs[a.Name] = a.Value
			}
			all = append(all, tok.Name, attrs)
		case xml.EndElement:
			all = append(all, tok)
		case xml.CharData:
			if text := strings.Join(strings.Fields(string(tok)), ""); text != "" {
				all = append(all, text)
			}
		}
	}
}

// conversation is what a peer has heard and said.
type conversation struct{ xmpptest.Transcript }

func (c *conversation) add(side xmpptest.Side, text string) {
	c.Transcript = append(c.Transcript, xmpptest.Line{Side: side, Text: xmpptest.Literal(text)})
}

func (c *conversation) stage(name string) {
	c.Transcript = append(c.Transcript, xmpptest.Line{Kind: xmpptest.Stage, Text: name})
}

// compare compares with a golden transcript.
func (c *conversation) compare(t testing.TB, file string) {
	t.Helper()
	xmpptest.Compare(t, "testdata/"+file, c.SplitElements())
}

// TestSpecificationServer lets our server hear steps 1 and 3.
func TestSpecificationServer(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, before := range map[string]string{"": "", ", white space before": "\n"} {
			t.Run("steps 1 to 4, "+tls.VersionName(version)+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					step := steps(t)
					var said conversation
					first := before + strings.TrimSuffix(step["1"], "\n") // TLS begins at once.
					h := host{
						transport: startTLS, cfg: pipelining.Config{Proactive: true},
						link: xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay},
					}
					v := h.visit(t, func(p *peer) {
						config := clientTLS()
						config.MaxVersion = version
						under := &behind{peer: &peer{t: t, Conn: p.Conn}, prefix: first, mark: proceed}
						c := tls.Client(under, config)
						require.NoError(t, c.Handshake())
						said.add(xmpptest.Client, strings.TrimPrefix(first, "\n"))
						said.add(xmpptest.Server, under.heard.String())
						said.stage("TLS")
						p.Conn = c
						said.add(xmpptest.Server, p.until("</stream:features>"))

						// What the client says behind it is answered without a header.
						header, _, _ := strings.Cut(strings.TrimPrefix(step["5"], "\n"), "<auth")
						p.say(header, authPlain("juliet", password), "\n", header, askBind)
						said.add(xmpptest.Client, header+authPlain("juliet", password)+"\n"+header+askBind)
						said.add(xmpptest.Server, p.until("</iq>"))
					})
					require.NoError(t, v.Err)
					assert.Equal(t, juliet, v.Session.RemoteAddr())
					assert.Equal(t, balcony.Domain(), v.Session.LocalAddr())
					said.compare(t, "server.txt")

					assert.Len(t, v.Link.Writes(xmpptest.Server), 3, "hello, what is behind TLS, and the last answer")
				})
			})
		}
	}
	t.Run("step 1 with the line's end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{transport: startTLS}.visit(t, func(p *peer) {
				c := tls.Client(&behind{peer: p, prefix: steps(t)["1"]}, clientTLS())
				require.Error(t, c.Handshake())
			})
			require.ErrorAs(t, v.Err, new(tls.RecordHeaderError), "white space is forbidden there")
		})
	})
}

// scripted is the mechanism of the specification's example.
func scripted(t testing.TB, step map[string]string) sasl.Mechanism {
	message := func(n, local string) []byte {
		_, text, ok := strings.Cut(tidy(step[n]), "<"+local)
		require.True(t, ok)
		text = text[strings.Index(text, ">")+1 : strings.Index(text, "</"+local+">")]
		b, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		return b
	}
	first, challenge := message("5", "auth"), message("6", "challenge")
	last, proof := message("7", "response"), message("8", "success")
	return sasl.Mechanism{
		Name: "SCRAM-SHA-1",
		Start: func(n *sasl.Negotiator) (bool, []byte, any, error) {
			user, _, _ := n.Credentials()
			assert.Equal(t, "juliet", string(user))
			return true, first, nil, nil
		},
		Next: func(n *sasl.Negotiator, got []byte, _ any) (bool, []byte, any, error) {
			if n.State()&sasl.StepMask == sasl.AuthTextSent {
				assert.Equal(t, string(challenge), string(got))
				return true, last, nil, nil
			}
			if string(got) != string(proof) {
				return false, nil, nil, sasl.ErrAuthn
			}
			return false, nil, nil, nil
		},
	}
}

// TestSpecificationClient lets our client hear steps 2, 4, 6 and 8, and
// compares what it says with steps 1, 5 and 7.
func TestSpecificationClient(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, mode := range modes {
			t.Run(mode.String()+" "+tls.VersionName(version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					step := steps(t)
					var said conversation
					hear := func(p *peer, mark string) {
						t.Helper()
						said.add(xmpptest.Client, p.until(mark))
					}
					say := func(p *peer, s string) {
						p.say(s)
						said.add(xmpptest.Server, s)
					}
					// A server that is not asked ahead gives each answer when it is due.
					split := func(s, mark string) (string, string) {
						if mode != pipelining.Off {
							return "", s
						}
						i := strings.Index(s, mark)
						return s[:i], s[i:]
					}
					cfg := clientConfig(scripted(t, step))
					cfg.Lang = "en"
					cfg.TLS.MaxVersion = version
					g := entertain(t, startTLS, pipelining.Client(pipelining.Plan{Mode: mode, Mechanism: "SCRAM-SHA-1"}, cfg), func(p *peer) {
						now, later := split(step["2"], "<proceed")
						if now != "" {
							said.add(xmpptest.Client, p.header())
							say(p, now)
						}
						hear(p, startTag)
						say(p, strings.TrimSuffix(later, "\n")) // TLS begins at once.
						require.NoError(t, p.acceptTLS())
						said.stage("TLS")

						say(p, step["4"]) // before the client has said a word
						hear(p, "</auth>")
						say(p, step["6"])
						hear(p, "</response>")
						now, later = split(step["8"], "<stream:stream")
						if now != "" {
							say(p, now)
							said.add(xmpptest.Client, p.header())
							now, later = split(later, "<iq")
							say(p, now)
						}
						start := p.heard.Len()
						hear(p, "</iq>")
						iq := p.heard.String()[start:]
						id := regexp.MustCompile(` id='([^']*)'`).FindStringSubmatch(iq)
						require.NotNil(t, id, iq)
						say(p, strings.ReplaceAll(later, "yhc13a95", id[1]))
					})
					require.NoError(t, g.Err)
					assert.Equal(t, balcony, g.Session.LocalAddr())
					assert.Equal(t, "gPybzaOzBmaADgxKXu9UClbprp0=", g.Session.In().ID)
					assert.True(t, pipelining.Advertised(g.Session))
					for _, ns := range []string{"urn:xmpp:sm:3", "http://jabber.org/protocol/caps", "urn:ietf:params:xml:ns:xmpp-bind"} {
						_, ok := g.Session.Feature(ns)
						assert.True(t, ok, ns)
					}
					_, ok := g.Session.Feature("urn:ietf:params:xml:ns:xmpp-sasl")
					assert.False(t, ok, "features of the stream before are forgotten")
					if mode == pipelining.Off {
						said.compare(t, "client-off.txt")
						return
					}
					said.compare(t, "client.txt")

					var heard string
					for _, line := range said.Transcript {
						if line.Kind == xmpptest.Bytes && line.Side == xmpptest.Client {
							heard += line.Text
						}
					}
					want := step["1"] + step["5"] + step["7"]
					// Before TLS our client does not say who it is.
					want = strings.Replace(want, "\n  from='juliet@im.example.com'", "", 1)
					heard = regexp.MustCompile(`<iq id='[^']*'`).ReplaceAllString(heard, "<iq id='yhc13a95'")
					assert.Equal(t, tokens(t, want), tokens(t, heard))
				})
			})
		}
	}
}

// TestSpecificationWrites is about what shares a write, and so a segment.
func TestSpecificationWrites(t *testing.T) {
	elements := regexp.MustCompile(`<(stream:stream|stream:features|starttls|proceed|auth|challenge|response|success|iq)[ >]`)
	say := func(b []byte) (names []string) {
		for _, m := range elements.FindAllStringSubmatch(string(b), -1) {
			names = append(names, m[1])
		}
		return names
	}
	t.Run("PL-08 header, starttls and ClientHello", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := mustLogIn(t, startTLS, pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, clientConfig(sasl.Plain)))
			client, server := l.Link.Writes(xmpptest.Client), l.Link.Writes(xmpptest.Server)
			assert.Equal(t, []string{"stream:stream", "starttls"}, say(client[0]))
			assert.Contains(t, string(client[0]), startTag+"\x16\x03\x01", "PL-21: nothing is between them")
			assert.Equal(t, []string{"stream:stream", "stream:features", "starttls", "proceed"}, say(server[0]))
			assert.Contains(t, string(server[0]), proceed+"\x16\x03\x03", "PL-09")
		})
	})
	for _, test := range []struct {
		name           string
		mechanism      sasl.Mechanism
		client, server [][]string
	}{
		{
			"PL-11 header, auth, header and bind", sasl.Plain,
			[][]string{{"stream:stream", "auth", "stream:stream", "iq"}},
			[][]string{{"stream:stream", "stream:features", "success", "stream:stream", "stream:features", "iq"}},
		},
		{
			"PL-12, PL-13, PL-14 response, header and bind", sasl.ScramSha256,
			[][]string{{"stream:stream", "auth"}, {"response", "stream:stream", "iq"}},
			[][]string{{"stream:stream", "stream:features", "challenge"}, {"success", "stream:stream", "stream:features", "iq"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := mustLogIn(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, clientConfig(test.mechanism)))
				var client, server [][]string
				for _, b := range l.Link.Writes(xmpptest.Client) {
					client = append(client, say(b))
				}
				for _, b := range l.Link.Writes(xmpptest.Server) {
					server = append(server, say(b))
				}
				assert.Equal(t, test.client, client)
				assert.Equal(t, test.server, server)
			})
		})
	}
}
