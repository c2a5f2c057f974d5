// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// nsPin is the namespace of what is in the tasks of these tests.
const nsPin = "urn:example:pin"

// pin is what a client says in a task.
func pin(text string) string { return "<pin xmlns='" + nsPin + "'>" + text + "</pin>" }

// next begins a task, and taskData goes on with it.
func next(task, inner string) string {
	return "<next xmlns='urn:xmpp:sasl:2' task='" + task + "'>" + inner + "</next>"
}

func taskData(inner string) string {
	return "<task-data xmlns='urn:xmpp:sasl:2'>" + inner + "</task-data>"
}

// pinTask is done when the client has said the pins one after the other. It asks
// for each but the first, and says goodbye.
func pinTask(name string, pins ...string) auth.Task {
	var said int
	return auth.Task{Name: name, Step: func(_ context.Context, data xml.TokenReader) (xml.TokenReader, bool, error) {
		pin := struct {
			Text string `xml:",chardata"`
		}{}
		if err := xml.NewTokenDecoder(data).Decode(&pin); err != nil && !errors.Is(err, io.EOF) {
			return nil, false, err
		}
		if pin.Text != pins[said] {
			return nil, false, auth.Failure{Condition: auth.NotAuthorized, Text: "wrong <pin>"}
		}
		if said++; said == len(pins) {
			return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: nsPin, Local: "goodbye"}}), true, nil
		}
		return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: nsPin, Local: "more"}}), false, nil
	}}
}

// withTasks are servers that ask for one task of each of the lists.
func withTasks(lists ...func() []auth.Task) *auth.Server {
	srv := newServer()
	srv.Profiles = auth.SASL2
	srv.Tasks = func(_ context.Context, _ *xmpp.Session, _ jid.JID, done []string) ([]auth.Task, error) {
		if len(done) == len(lists) {
			return nil, nil
		}
		return lists[len(done)](), nil
	}
	return srv
}

func onePin() []auth.Task { return []auth.Task{pinTask("PIN", "1234")} }

func eitherPin() []auth.Task {
	return []auth.Task{pinTask("LONG & <PIN>", "12", "34"), pinTask("PIN", "5678")}
}

// TestServerSASL2 are whole logins.
func TestServerSASL2(t *testing.T) {
	inBubble(t, "SA-14, SA-17 PLAIN", func(t *testing.T) {
		o := receiver{}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-sasl2-plain.txt")
		assert.Equal(t, juliet, o.Session.RemoteAddr())
		assert.Equal(t, 1, strings.Count(o.Heard, "<stream:stream "), "SA-17 no restart")
		assert.Equal(t, auth.Login{Account: juliet, Mechanism: auth.Plain, Profile: auth.SASL2}, o.Tries[0].Login)
	})
	inBubble(t, "SA-06, SA-14, SA-15, SA-16, FA-06 SCRAM with inline and token", func(t *testing.T) {
		var asked []string
		srv := newServer()
		srv.Credentials = fixedAccounts{t}
		srv.Inline = []auth.Inline{ride{asked: &asked}}
		srv.Announce = func(*xmpp.Session) []xmpp.StreamFeature {
			return []xmpp.StreamFeature{pipelining.StreamFeature(), xmpp.StartTLS(serverTLS()), xmpp.BindResource()}[:1]
		}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			s := newScram(auth.ScramSHA256, "juliet", password)
			c.scram(way2.with(agent, askRide, requestToken(auth.HTSHA256None)), s)
			assert.Equal(t, s.verifier, c.message("additional-data"))
			c.success()
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-sasl2-scram.txt")
		assert.NotZero(t, o.Session.State()&xmpp.Ready)
		assert.Equal(t, []string{agentID}, asked)
		assert.Equal(t, auth.Login{
			Account: juliet, Bound: balcony, Mechanism: auth.ScramSHA256, Profile: auth.SASL2,
			UserAgent: auth.UserAgent{ID: agentID, Software: "Balcony", Device: "Juliet's phone"},
		}, o.Tries[0].Login)
	})
	inBubble(t, "SA-19, SA-23 failure, retry and abort", func(t *testing.T) {
		srv := newServer()
		srv.Credentials = fixedAccounts{t}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say(authenticate2(auth.Plain, plain("juliet", "wrong"), agent, askRide))
			c.until("</failure>")
			c.say(authenticate2(auth.ScramSHA256, base64Of(newScram(auth.ScramSHA256, "juliet", password).first())))
			c.until("</challenge>")
			c.say("<abort xmlns='urn:xmpp:sasl:2'><text>I have changed my mind</text><why xmlns='urn:example:why'/></abort>")
			c.until("</failure>")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-sasl2-retry.txt")
		assert.Equal(t, []error{
			auth.Failure{Condition: auth.NotAuthorized}, auth.Failure{Condition: auth.Aborted}, nil,
		}, o.results())
	})
	inBubble(t, "SA-20 one task", func(t *testing.T) {
		o := receiver{auth: withTasks(onePin)}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say(authenticate2(auth.Plain, plain("juliet", password), agent, requestToken(auth.HTSHA256None)))
			c.until("</continue>")
			c.say(next("PIN", pin("1234")))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-sasl2-task.txt")
	})
	inBubble(t, "SA-20, SA-21, SA-22 two tasks", func(t *testing.T) {
		srv := withTasks(eitherPin, onePin)
		srv.Credentials = fixedAccounts{t}
		srv.Inline = []auth.Inline{ride{}}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			s := newScram(auth.ScramSHA256, "juliet", password)
			c.scram(way2.with(agent, askRide, requestToken(auth.HTSHA256None)), s)
			assert.Equal(t, s.verifier, c.message("additional-data"), "SA-15 it is said once, with continue")
			assert.NotContains(t, c.until("</continue>"), "token", "FA-05")
			c.say(next("LONG &amp; &lt;PIN&gt;", pin("12")))
			c.until("</task-data>")
			c.say(taskData(pin("34")))
			assert.NotContains(t, c.until("</continue>"), "additional-data")
			c.say(next("PIN", pin("1234")))
			c.success()
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-sasl2-tasks.txt")
		assert.Equal(t, balcony, o.Tries[0].Bound, "what rides along comes last")
	})
}

// TestServerMechanismName is about mechanisms that are not offered.
func TestServerMechanismName(t *testing.T) {
	for _, w := range ways {
		for name, mechanism := range map[string]string{
			"SA-08 one that exists":           "GSSAPI",
			"SA-08 one that is not possible":  auth.ScramSHA256Plus,
			"SA-08 none":                      "",
			"SA-08 EXTERNAL":                  auth.External,
			"AQ-18 lower case":                "plain",
			"AQ-18 10 KB":                     strings.Repeat("X", 10<<10),
			"AQ-18 a space behind":            "PLAIN ",
			"AQ-18 markup":                    "&lt;PLAIN/&gt;",
			"AQ-18 a token's, not possible":   auth.HTSHA256Exporter,
			"AQ-18 a token's, in lower case":  "ht-sha-256-none",
			"AQ-18 two":                       "PLAIN SCRAM-SHA-1",
			"AQ-18 -PLUS of what has no such": "PLAIN-PLUS",
		} {
			inBubble(t, name+", "+w.name, func(t *testing.T) {
				o := receiver{}.visit(t, func(c *rawClient) {
					c.open("")
					c.say(w.begin(mechanism, plain("juliet", password)))
					assert.Equal(t, w.failed("invalid-mechanism"), c.until("</failure>"))
				})
				require.Len(t, o.Tries, 1)
				assert.Equal(t, try{auth.Login{Profile: w.profile}, auth.Failure{Condition: auth.InvalidMechanism}}, o.Tries[0],
					"what a client makes up does not reach logs")
			})
		}
		inBubble(t, "SA-08 no attribute, "+w.name, func(t *testing.T) {
			o := receiver{}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(strings.Replace(w.begin(auth.Plain, plain("juliet", password)), " mechanism='PLAIN'", "", 1))
				assert.Equal(t, w.failed("invalid-mechanism"), c.until("</failure>"))
				c.say(strings.Replace(w.begin(auth.Plain, plain("juliet", password)), " mechanism=", " xmlns:x='urn:example:x' x:mechanism=", 1))
				assert.Equal(t, w.failed("invalid-mechanism"), c.until("</failure>"))
			})
			require.Error(t, o.Err)
		})
	}
	inBubble(t, "FA-01 tokens are for SASL2", func(t *testing.T) {
		text, _ := ht("juliet", "secret", nil)
		o := receiver{}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(auth6120(auth.HTSHA256None, text))
			assert.Equal(t, failed6120("invalid-mechanism"), c.until("</failure>"))
		})
		require.Error(t, o.Err)
	})
}

// TestServerUserAgent is about what a client says of itself.
func TestServerUserAgent(t *testing.T) {
	const ok, bad = "", "malformed-request"
	long := strings.Repeat("x", 1024)
	for _, test := range []struct {
		name, agent, condition string
		want                   auth.UserAgent
	}{
		{"none", "", ok, auth.UserAgent{}},
		{"nothing in it", "<user-agent/>", ok, auth.UserAgent{}},
		{"all of it", agent, ok, auth.UserAgent{ID: agentID, Software: "Balcony", Device: "Juliet's phone"}},
		{"an id in capitals", "<user-agent id='" + strings.ToUpper(agentID) + "'/>", ok, auth.UserAgent{ID: agentID}},
		{"names of strangers", "<user-agent><software xmlns='urn:example:x'>x</software><battery>1</battery></user-agent>", ok, auth.UserAgent{}},
		{"white space", "<user-agent>\n <software>Balcony</software>\n</user-agent>", ok, auth.UserAgent{Software: "Balcony"}},
		{"another namespace", strings.Replace(agent, "<user-agent", "<user-agent xmlns='urn:example:x'", 1), ok, auth.UserAgent{}},
		{"a version 1", "<user-agent id='c232ab00-9414-11ec-b3c8-9f6bdeced846'/>", bad, auth.UserAgent{}},
		{"a version 7", "<user-agent id='017f22e2-79b0-7cc3-98c4-dc0c0c07398f'/>", bad, auth.UserAgent{}},
		{"the wrong variant", "<user-agent id='d4565fa7-4d72-4749-c3d3-740edbf87770'/>", bad, auth.UserAgent{}},
		{"braces", "<user-agent id='{" + agentID + "}'/>", bad, auth.UserAgent{}},
		{"a URN", "<user-agent id='urn:uuid:" + agentID + "'/>", bad, auth.UserAgent{}},
		{"no hyphens", "<user-agent id='" + strings.ReplaceAll(agentID, "-", "") + "'/>", bad, auth.UserAgent{}},
		{"a space before", "<user-agent id=' " + agentID + "'/>", bad, auth.UserAgent{}},
		{"a newline behind", "<user-agent id='" + agentID + "&#10;'/>", bad, auth.UserAgent{}},
		{"a path", "<user-agent id='../../etc/passwd'/>", bad, auth.UserAgent{}},
		{"a long description", "<user-agent><software>" + long + "</software></user-agent>", bad, auth.UserAgent{}},
		{"a long device", "<user-agent id='" + agentID + "'><device>" + long + "</device></user-agent>", bad, auth.UserAgent{}},
		{"two", agent + agent, bad, auth.UserAgent{}},
	} {
		inBubble(t, "SA-10 "+test.name, func(t *testing.T) {
			o := receiver{}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(authenticate2(auth.Plain, plain("juliet", password), test.agent))
				if test.condition != ok {
					assert.Equal(t, failed2(test.condition), c.until("</failure>"))
					return
				}
				c.success()
				c.bind()
			})
			require.Len(t, o.Tries, 1)
			assert.Equal(t, test.want, o.Tries[0].UserAgent)
			assert.Equal(t, test.condition == ok, o.Err == nil)
		})
	}
	inBubble(t, "SA-11 nobody else is told", func(t *testing.T) {
		var asked []string
		srv := newServer()
		srv.Inline = []auth.Inline{ride{asked: &asked}}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say(authenticate2(auth.Plain, plain("juliet", password), agent, askRide, requestToken(auth.HTSHA256None)))
			c.success()
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []string{agentID}, asked)
		for _, s := range []string{agentID, "Balcony", "phone"} {
			assert.NotContains(t, o.Heard, s)
			assert.NotContains(t, o.Session.RemoteAddr().String(), s)
		}
	})
}

// TestServerDuringAuthentication is about what may not be sent while SASL2 is under way.
func TestServerDuringAuthentication(t *testing.T) {
	phases := map[string]func(c *rawClient){
		"in place of a response": func(c *rawClient) {
			c.say(authenticate2(auth.ScramSHA256, base64Of(newScram(auth.ScramSHA256, "juliet", password).first())))
			c.until("</challenge>")
		},
		"in place of a first response": func(c *rawClient) {
			c.say("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>")
			c.until("<challenge xmlns='urn:xmpp:sasl:2'/>")
		},
		"in place of next": func(c *rawClient) {
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.until("</continue>")
		},
		"in place of task-data": func(c *rawClient) {
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.until("</continue>")
			c.say(next("LONG &amp; &lt;PIN&gt;", pin("12")))
			c.until("</task-data>")
		},
	}
	good := authenticate2(auth.Plain, plain("juliet", password), askRide)
	const policy, malformed, restricted = "policy-violation", "not-well-formed", "restricted-xml"
	for _, test := range []struct{ name, say, condition, stock string }{
		{"AQ-16 a space", " ", policy, policy},
		{"AQ-16 a newline", "\n", policy, policy},
		{"AQ-16 an iq", "<iq id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", policy, policy},
		{"AQ-16 a bind", askBind, policy, policy},
		{"SA-12 a message", "<message to='romeo@im.example.com'><body>hi</body></message>", policy, policy},
		{"SA-12 presence", "<presence/>", policy, policy},
		{"SA-12 text", "hello", "bad-format", policy},
		{"SA-12 a stranger", "<stranger xmlns='urn:example:stranger'/>", policy, policy},
		{"SA-12 a comment", "<!-- hello -->", restricted, ""},
		{"SA-12 an instruction", "<?php ?>", restricted, ""},
		{"SA-12 a declaration", "<!DOCTYPE stream>", restricted, ""},
		{"SA-12 an entity", "<response xmlns='urn:xmpp:sasl:2'>&lol;</response>", restricted, ""},
		{"SA-12, AP-06 a header", opening, "not-authorized", ""},
		{"SA-12 an iq without end", "<iq id='p' type='set'>", policy, policy},
		{"SA-12 an ack request", "<r xmlns='urn:xmpp:sm:3'/>", policy, policy},
		{"SA-24 authenticate", good, policy, policy},
		{"SA-12 auth", auth6120(auth.Plain, plain("juliet", password)), policy, policy},
		{"SA-12 response, 6120", way6120.response(""), policy, policy},
		{"SA-12 abort, 6120", way6120.abort(), policy, policy},
		{"SA-12 what servers say", "<success xmlns='urn:xmpp:sasl:2'/>", policy, policy},
		{"SA-12 response, nowhere", "<response>AAEC</response>", policy, policy},
		{"SA-12 a cut response", "<response xmlns='urn:xmpp:sasl:2'>AAEC</stream:stream>", malformed, ""},
		{"SA-12 an attribute twice", "<response xmlns='urn:xmpp:sasl:2' a='' a=''/>", malformed, "-"},
		{"SA-12 a forbidden char", "<response xmlns='urn:xmpp:sasl:2'>&#0;</response>", malformed, ""},
		{"SA-12 no UTF-8", "<response xmlns='urn:xmpp:sasl:2'>\xff</response>", malformed, ""},
		{"SA-12 the end", closing, "", ""},
	} {
		for _, stock := range []bool{false, true} {
			condition := test.condition
			if stock {
				condition = test.stock
			}
			if condition == "-" {
				continue // encoding/xml does not mind.
			}
			for phase, begin := range phases {
				inBubble(t, test.name+" "+phase+stocked(stock), func(t *testing.T) {
					var asked []string
					srv := withTasks(eitherPin)
					srv.Profiles = 0
					srv.Inline = []auth.Inline{ride{asked: &asked}}
					r := receiver{auth: srv, stock: stock}
					var before string
					o := r.visit(t, func(c *rawClient) {
						c.open(juliet.String())
						begin(c)
						before = withoutIDs(c.heard.String())
						c.say(test.say, good)
					})
					require.Error(t, o.Err)
					assert.False(t, o.Left, "the server hangs up by itself")
					assert.Less(t, o.Took, 2*time.Second, "at once")
					assert.Empty(t, asked)
					assert.Zero(t, o.Session.State()&(xmpp.Authn|xmpp.Ready))
					require.Len(t, o.Tries, 1)
					assert.Error(t, o.Tries[0].Err)
					said, found := strings.CutPrefix(o.Heard, before)
					require.True(t, found)
					assert.NotContains(t, said, "<success")
					assert.NotContains(t, said, "<failure", "the stream ends")
					if !stock {
						assert.Regexp(t, `^(<stream:error><[a-z-]+ xmlns="`+nsStreams+`"></[a-z-]+></stream:error>)?</stream:stream>$`, said)
					}
					if condition != "" {
						assert.Equal(t, r.ends(condition), said)
					}
				})
			}
		}
	}
	for name, say := range map[string]string{
		"response in place of next": way2.response(""),
		"task-data before next":     taskData(pin("1234")),
		"next for next":             "<next xmlns='urn:example:x' task='PIN'/>",
	} {
		inBubble(t, "SA-12, SA-21 "+name, func(t *testing.T) {
			r := receiver{auth: withTasks(onePin)}
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				phases["in place of next"](c)
				c.say(say)
			})
			assert.True(t, strings.HasSuffix(o.Heard, "</continue>"+r.ends("policy-violation")), o.Heard)
		})
	}
	inBubble(t, "SA-12 next and task-data in place of a response", func(t *testing.T) {
		for _, say := range []string{next("PIN", pin("1234")), taskData(pin("1234"))} {
			r := receiver{auth: withTasks(onePin)}
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				phases["in place of a response"](c)
				c.say(say)
			})
			assert.True(t, strings.HasSuffix(o.Heard, "</challenge>"+r.ends("policy-violation")), o.Heard)
		}
	})
	inBubble(t, "SA-12 white space ends where authentication ends", func(t *testing.T) {
		o := receiver{auth: withTasks(onePin)}.visit(t, func(c *rawClient) {
			c.open("")
			c.say("\n", authenticate2(auth.Plain, plain("juliet", "wrong")), "\n")
			c.until("</failure>")
			s := newScram(auth.ScramSHA256, "juliet", password)
			c.scram(way2, s)
			c.until("</continue>")
			c.say(way2.abort(), "\n ")
			c.until("</failure>")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.until("</continue>")
			c.say(next("PIN", pin("1234")), "\n")
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
	})
	inBubble(t, "SA-12 all in one packet", func(t *testing.T) {
		s := newScram(auth.ScramSHA256, "juliet", password)
		r := receiver{}
		o := r.visit(t, func(c *rawClient) {
			c.say(opening, authenticate2(s.mechanism, base64Of(s.first())), "\n", way2.response("AAEC"))
		})
		assert.True(t, strings.HasSuffix(o.Heard, "</challenge>"+r.ends("policy-violation")), o.Heard)
	})
}

// TestServerInline is about what rides along.
func TestServerInline(t *testing.T) {
	begin := func(more ...string) string { return authenticate2(auth.Plain, plain("juliet", password), more...) }
	inBubble(t, "AB-04, SA-19 a failure takes nobody along", func(t *testing.T) {
		var asked []string
		srv := newServer()
		srv.Inline = []auth.Inline{ride{asked: &asked}}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say(authenticate2(auth.Plain, plain("juliet", "wrong"), agent, askRide, requestToken(auth.HTSHA256None)))
			assert.Equal(t, failed2("not-authorized"), c.until("</failure>"))
			assert.Empty(t, asked)
			c.say(begin(agent))
			assert.Equal(t, "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@im.example.com</authorization-identifier></success>", c.success(),
				"what was asked for before is forgotten")
			c.bind()
		})
		require.NoError(t, o.Err)
		assert.Empty(t, asked)
	})
	inBubble(t, "AB-04 a failure leaves other sessions alone", func(t *testing.T) {
		var asked []string
		srv := newServer()
		srv.Inline = []auth.Inline{ride{asked: &asked}}
		r := receiver{auth: srv}
		token := r.getToken(t, auth.HTSHA256None)
		r.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			text, _ := ht("juliet", "wrong", nil)
			c.say(authenticate2(auth.HTSHA256None, text, agent, askRide, "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>", requestToken(auth.HTSHA256None)))
			assert.Equal(t, failed2("not-authorized"), c.until("</failure>"))
		})
		assert.Empty(t, asked)
		assert.Contains(t, r.useToken(t, token), "<success")
	})
	for name, more := range map[string][]string{
		"two that bind":          {askRide, askRide},
		"two that differ":        {askRide, strings.Replace(askRide, "balcony", "chamber", 1)},
		"two initial responses":  {"<initial-response>AAEC</initial-response>"},
		"two tokens asked for":   {agent, requestToken(auth.HTSHA256None), requestToken(auth.HTSHA256None)},
		"two tokens used":        {agent, useToken, useToken},
		"two that nobody knows ": {"<x xmlns='urn:xmpp:sasl:2'/>", "<x xmlns='urn:xmpp:sasl:2'/>"},
	} {
		inBubble(t, "AB-07 "+name, func(t *testing.T) {
			var asked []string
			srv := newServer()
			srv.Inline = []auth.Inline{ride{asked: &asked}}
			o := receiver{auth: srv}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(begin(more...))
				assert.Equal(t, failed2("malformed-request"), c.until("</failure>"))
				c.say(begin(askRide))
				c.success()
			})
			require.NoError(t, o.Err)
			assert.Len(t, asked, 1, "one session")
		})
	}
	for name, more := range map[string]string{
		"not the first child":     "<x xmlns='urn:example:x'/><x xmlns='urn:example:x'/>" + askRide,
		"with text around":        "text" + askRide + "text",
		"what nobody knows":       "<bind xmlns='urn:xmpp:bind:0'><tag>x</tag></bind>" + askRide,
		"children of strangers":   "<x xmlns='urn:example:x'>" + askRide + "</x>" + askRide,
		"with more in it":         strings.Replace(askRide, "</ride>", "<x xmlns='urn:example:x'>"+askRide+"</x></ride>", 1),
		"with a prefix":           "<r:ride xmlns:r='urn:example:ride'><r:tag>balcony</r:tag></r:ride>",
		"before the initial data": askRide,
	} {
		inBubble(t, "SA-16 "+name, func(t *testing.T) {
			var asked []string
			srv := newServer()
			srv.Inline = []auth.Inline{ride{asked: &asked}}
			o := receiver{auth: srv}.visit(t, func(c *rawClient) {
				c.open("")
				if name == "before the initial data" {
					c.say("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>" + more + "<initial-response>" + plain("juliet", password) + "</initial-response></authenticate>")
				} else {
					c.say(begin(more))
				}
				assert.Equal(t, `<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@im.example.com/balcony</authorization-identifier><ridden xmlns="urn:example:ride"></ridden></success>`, c.until("</success>"))
				assert.Equal(t, `<stream:features></stream:features>`, c.until("</stream:features>"))
			})
			require.NoError(t, o.Err)
			assert.Equal(t, []string{""}, asked)
		})
	}
	inBubble(t, "SA-16 none of the children of strangers", func(t *testing.T) {
		var asked []string
		srv := newServer()
		srv.Inline = []auth.Inline{ride{asked: &asked}}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(begin("<x xmlns='urn:example:x'>"+askRide+"</x>", strings.Replace(askRide, "urn:example:ride", "urn:example:other", 1)))
			assert.NotContains(t, c.success(), "ridden")
			c.bind()
		})
		require.NoError(t, o.Err)
		assert.Empty(t, asked)
	})
	inBubble(t, "SA-14, SA-17 one that refuses leaves the address bare", func(t *testing.T) {
		srv := newServer()
		srv.Inline = []auth.Inline{ride{refuse: true}}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(begin(askRide))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
		assert.Contains(t, o.Heard, success2)
	})
	inBubble(t, "SA-16 in the server's order, and each is told what was bound", func(t *testing.T) {
		var order []string
		note := func(name string, binds bool) auth.Inline {
			return inlineFunc{xml.Name{Space: "urn:example:" + name, Local: name}, func(s *xmpp.Session, was jid.JID) (jid.JID, error) {
				order = append(order, name+" "+was.String())
				if !binds || !was.Equal(jid.JID{}) {
					return jid.JID{}, nil
				}
				return s.RemoteAddr().WithResource(name)
			}}
		}
		srv := newServer()
		srv.Inline = []auth.Inline{note("a", false), note("b", true), note("c", true)}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("juliet@im.example.com/chamber")
			c.say(begin("<c xmlns='urn:example:c'/>", "<b xmlns='urn:example:b'/>", "<a xmlns='urn:example:a'/>"))
			c.success()
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []string{"a ", "b ", "c juliet@im.example.com/b"}, order)
		assert.Contains(t, o.Heard, `juliet@im.example.com/b</authorization-identifier><a xmlns="urn:example:a"></a><b xmlns="urn:example:b"></b><c xmlns="urn:example:c"></c></success>`)
		assert.Equal(t, juliet, o.Session.RemoteAddr(), "the account, whatever the header said of a resource")
	})
	inBubble(t, "SA-17 no features behind a resumed stream", func(t *testing.T) {
		srv := newServer()
		srv.Inline = []auth.Inline{inlineFunc{xml.Name{Space: "urn:xmpp:sm:3", Local: "resumed"}, func(s *xmpp.Session, _ jid.JID) (jid.JID, error) {
			return s.RemoteAddr().WithResource("balcony")
		}}}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(begin("<resumed xmlns='urn:xmpp:sm:3'/>"))
			c.until("</success>")
		})
		require.NoError(t, o.Err)
		assert.True(t, strings.HasSuffix(o.Heard, "</success>"), o.Heard)
	})
	inBubble(t, "SA-17 features that have no place any more", func(t *testing.T) {
		srv := newServer()
		srv.Inline = []auth.Inline{ride{}}
		srv.Announce = func(s *xmpp.Session) []xmpp.StreamFeature {
			return append(srv.Features(s), pipelining.StreamFeature(), xmpp.StreamFeature{Name: xml.Name{Local: "nothing"}})
		}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(begin(askRide))
			c.success()
		})
		require.NoError(t, o.Err)
		assert.True(t, strings.HasSuffix(o.Heard, "</success><stream:features>"+listsOthers), o.Heard)
	})
	for name, err := range map[string]error{
		"policy-violation":      fmt.Errorf("no: %w", stream.PolicyViolation),
		"internal-server-error": errHook,
	} {
		for _, stock := range []bool{false, true} {
			inBubble(t, "an error ends the stream with "+name+stocked(stock), func(t *testing.T) {
				srv := newServer()
				srv.Inline = []auth.Inline{inlineFunc{xml.Name{Space: nsRide, Local: "ride"}, func(*xmpp.Session, jid.JID) (jid.JID, error) { return jid.JID{}, err }}}
				r := receiver{auth: srv, stock: stock}
				o := r.visit(t, func(c *rawClient) {
					c.open(juliet.String())
					c.say(begin(askRide))
				})
				require.ErrorIs(t, o.Err, err)
				assert.True(t, strings.HasSuffix(o.Heard, "</stream:features>"+r.ends(name)), o.Heard)
			})
		}
	}
	for name, now := range map[string]string{
		"another account": "romeo@im.example.com/balcony", "another domain": "juliet@verona.example/balcony", "no resource": "juliet@im.example.com",
	} {
		inBubble(t, "what binds "+name+" ends the stream", func(t *testing.T) {
			srv := newServer()
			srv.Inline = []auth.Inline{inlineFunc{xml.Name{Space: nsRide, Local: "ride"}, func(*xmpp.Session, jid.JID) (jid.JID, error) { return jid.MustParse(now), nil }}}
			r := receiver{auth: srv}
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				c.say(begin(askRide))
			})
			assert.True(t, strings.HasSuffix(o.Heard, "</stream:features>"+r.ends("internal-server-error")), o.Heard)
			assert.Zero(t, o.Session.State()&xmpp.Ready)
		})
	}
	inBubble(t, "SA-14 an address that has to be quoted", func(t *testing.T) {
		srv := newServer()
		srv.Inline = []auth.Inline{ride{}}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(begin(strings.Replace(askRide, "balcony", "a&amp;b&lt;/c&gt;&apos;", 1)))
			c.success()
		})
		require.NoError(t, o.Err)
		assert.Contains(t, o.Heard, `<authorization-identifier>juliet@im.example.com/a&amp;b&lt;/c&gt;&#39;</authorization-identifier>`)
		assert.Equal(t, "juliet@im.example.com/a&b</c>'", o.Tries[0].Bound.String())
	})
	for _, stock := range []bool{false, true} {
		for _, w := range ways {
			for _, again := range ways {
				inBubble(t, "SA-24 "+again.name+" after success in "+w.name+stocked(stock), func(t *testing.T) {
					r := receiver{stock: stock}
					o := r.visit(t, func(c *rawClient) {
						c.open(juliet.String())
						c.say(w.begin(auth.Plain, plain("juliet", password)))
						if w.profile == auth.SASL2 {
							c.success()
						} else {
							c.until("/>")
							c.open(juliet.String())
						}
						c.say(again.begin(auth.Plain, plain("juliet", password)))
					})
					require.ErrorIs(t, o.Err, stream.PolicyViolation)
					if !stock { // Mellium says nothing.
						assert.True(t, strings.HasSuffix(o.Heard, listsBind+r.ends("policy-violation")), o.Heard)
					}
					assert.Len(t, o.Tries, 1)
				})
			}
		}
	}
}

// inlineFunc is an Inline that answers with an element of its own name.
type inlineFunc struct {
	name xml.Name
	bind func(s *xmpp.Session, was jid.JID) (jid.JID, error)
}

func (f inlineFunc) Name() xml.Name                                     { return f.name }
func (inlineFunc) Offer(context.Context, *xmpp.Session) xml.TokenReader { return nil }

func (f inlineFunc) Negotiate(_ context.Context, s *xmpp.Session, _ string, was jid.JID, _ *xml.Decoder, _ xml.StartElement) (xml.TokenReader, jid.JID, error) {
	now, err := f.bind(s, was)
	return xmlstream.Wrap(nil, xml.StartElement{Name: f.name}), now, err
}

// TestServerTasks is about what a client has to do behind the mechanism.
func TestServerTasks(t *testing.T) {
	begin := authenticate2(auth.Plain, plain("juliet", password), agent, askRide, requestToken(auth.HTSHA256None))
	withRide := func(asked *[]string, lists ...func() []auth.Task) *auth.Server {
		srv := withTasks(lists...)
		srv.Inline = []auth.Inline{ride{asked: asked}}
		return srv
	}
	for name, test := range map[string]struct{ say, failure string }{
		"SA-21 an unknown task":     {next("PUK", pin("1234")), `<malformed-request xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text>there is no such task</text>`},
		"SA-21 no task":             {"<next xmlns='urn:xmpp:sasl:2'/>", `<malformed-request xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text>there is no such task</text>`},
		"SA-22 a task that fails":   {next("PIN", pin("4321")), `<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text>wrong &lt;pin&gt;</text>`},
		"SA-22 nothing in next":     {next("PIN", ""), `<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text>wrong &lt;pin&gt;</text>`},
		"SA-23 abort for next":      {way2.abort(), `<aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`},
		"SA-23 abort for task-data": {next("LONG &amp; &lt;PIN&gt;", pin("12")) + way2.abort(), `<aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`},
		"SA-22 a task fails later":  {next("LONG &amp; &lt;PIN&gt;", pin("12")) + taskData(pin("43")), `<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text>wrong &lt;pin&gt;</text>`},
	} {
		inBubble(t, name, func(t *testing.T) {
			var asked []string
			tokens := new(auth.MemoryTokens)
			srv := withRide(&asked, func() []auth.Task { return append(onePin(), eitherPin()[0]) })
			srv.FAST.Store = tokens
			o := receiver{auth: srv}.visit(t, func(c *rawClient) {
				c.open(juliet.String())
				c.say(begin)
				c.until("</continue>")
				c.say(test.say)
				heard := c.until("</failure>")
				assert.Equal(t, "<failure xmlns='urn:xmpp:sasl:2'>"+test.failure+"</failure>", heard[strings.Index(heard, "<failure"):])
			})
			require.Error(t, o.Err)
			assert.Empty(t, asked, "SA-19 nothing rides along")
			assert.Zero(t, o.Session.State()&xmpp.Authn)
			assert.NoError(t, tokens.Update(t.Context(), juliet, agentID, func(k *auth.Tokens) bool {
				assert.Zero(t, *k, "FA-05 there is no token")
				return false
			}))
		})
	}
	inBubble(t, "SA-22 the account is held to its tasks", func(t *testing.T) {
		var accounts []string
		srv := withTasks(onePin)
		tasks := srv.Tasks
		srv.Tasks = func(ctx context.Context, s *xmpp.Session, account jid.JID, done []string) ([]auth.Task, error) {
			accounts = append(accounts, fmt.Sprint(account, done))
			assert.Empty(t, s.RemoteAddr().String(), "nobody is authenticated yet")
			return tasks(ctx, s, account, done)
		}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(auth.Plain, plain("juliet", "wrong")))
			c.until("</failure>")
			assert.Empty(t, accounts, "before the mechanism is done nobody is asked")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.until("</continue>")
			c.say(next("PIN", pin("1234")))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []string{"juliet@im.example.com []", "juliet@im.example.com [PIN]"}, accounts)
		assert.Equal(t, juliet, o.Session.RemoteAddr())
	})
	inBubble(t, "SA-22 no end of tasks", func(t *testing.T) {
		srv := newServer()
		srv.Tasks = func(context.Context, *xmpp.Session, jid.JID, []string) ([]auth.Task, error) { return onePin(), nil }
		r := receiver{auth: srv}
		o := r.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			for range 9 {
				c.until("</continue>")
				c.say(next("PIN", pin("1234")))
			}
			assert.Equal(t, failed2("temporary-auth-failure"), c.until("</failure>"))
		})
		require.Error(t, o.Err)
	})
	inBubble(t, "SA-22 no end of a task", func(t *testing.T) {
		srv := withTasks(func() []auth.Task {
			return []auth.Task{{Name: "PIN", Step: func(context.Context, xml.TokenReader) (xml.TokenReader, bool, error) { return nil, false, nil }}}
		})
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.until("</continue>")
			c.say(next("PIN", ""))
			for range 15 {
				assert.Equal(t, "<task-data xmlns='urn:xmpp:sasl:2'></task-data>", c.until("</task-data>"))
				c.say(taskData(""))
			}
			c.until("</task-data>")
			c.say(taskData(""))
			assert.Equal(t, failed2("malformed-request"), c.until("</failure>"))
		})
		require.Error(t, o.Err)
	})
	for name, test := range map[string]struct {
		err       error
		condition string
	}{
		"its own error": {errHook, "temporary-auth-failure"},
		"a Failure":     {auth.Failure{Condition: auth.AccountDisabled}, "account-disabled"},
	} {
		inBubble(t, "SA-18 what Tasks returns: "+name, func(t *testing.T) {
			srv := newServer()
			srv.Tasks = func(context.Context, *xmpp.Session, jid.JID, []string) ([]auth.Task, error) { return nil, test.err }
			o := receiver{auth: srv}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(authenticate2(auth.Plain, plain("juliet", password)))
				assert.Equal(t, failed2(test.condition), c.until("</failure>"))
			})
			require.Error(t, o.Err)
		})
		inBubble(t, "SA-18 what a step returns: "+name, func(t *testing.T) {
			srv := withTasks(func() []auth.Task {
				return []auth.Task{{Name: "PIN", Step: func(context.Context, xml.TokenReader) (xml.TokenReader, bool, error) { return nil, true, test.err }}}
			})
			o := receiver{auth: srv}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(authenticate2(auth.Plain, plain("juliet", password)))
				c.until("</continue>")
				c.say(next("PIN", ""))
				assert.Equal(t, failed2(test.condition), c.until("</failure>"))
			})
			require.Error(t, o.Err)
		})
	}
}

// TestServerLimit is about slowing down whoever guesses.
func TestServerLimit(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		failure string
	}{
		"its own error": {errHook, `<temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`},
		"a Failure":     {auth.Failure{Condition: auth.AccountDisabled}, `<account-disabled xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`},
		"with text":     {auth.Failure{Condition: auth.TemporaryAuthFailure, Text: "come back <later> & \"quietly\""}, `<temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><text>come back &lt;later&gt; &amp; &#34;quietly&#34;</text>`},
		"wrapped":       {fmt.Errorf("%w: %w", errHook, auth.Failure{Condition: auth.EncryptionRequired}), `<encryption-required xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`},
		"no condition":  {auth.Failure{}, `<temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`},
	} {
		for _, w := range ways {
			for _, user := range []string{"juliet", "nobody", "no name"} {
				for _, mechanism := range []string{auth.Plain, auth.ScramSHA1, auth.HTSHA256None} {
					if mechanism == auth.HTSHA256None && w.profile == auth.RFC6120 {
						continue
					}
					inBubble(t, "SA-18, SA-29 "+name+" "+w.name+" "+user+" "+mechanism, func(t *testing.T) {
						var asked []string
						srv := newServer()
						srv.Limit = func(_ context.Context, s *xmpp.Session, account jid.JID) error {
							asked = append(asked, account.String())
							assert.NotNil(t, s)
							return test.err
						}
						o := receiver{auth: srv}.visit(t, func(c *rawClient) {
							c.open("")
							switch mechanism {
							case auth.Plain:
								c.say(w.begin(mechanism, plain(user, password)))
							case auth.ScramSHA1:
								c.say(w.begin(mechanism, base64Of(newScram(mechanism, user, password).first())))
							default:
								text, _ := ht(user, "secret", nil)
								c.say(way2.with(agent, useToken).begin(mechanism, text))
							}
							assert.Equal(t, "<failure xmlns='"+w.ns+"'>"+test.failure+"</failure>", c.until("</failure>"))
						})
						require.Error(t, o.Err)
						want := user + "@im.example.com"
						if user == "no name" {
							want = ""
						}
						assert.Equal(t, []string{want}, asked)
						assert.Equal(t, want, o.Tries[0].Account.String())
					})
				}
			}
		}
	}
	inBubble(t, "SA-29 it may take its time, up to the negotiation's", func(t *testing.T) {
		srv := newServer()
		srv.Limit = func(ctx context.Context, _ *xmpp.Session, _ jid.JID) error {
			<-ctx.Done()
			return ctx.Err()
		}
		r := receiver{auth: srv, cfg: pipelining.Config{Timeout: 5 * time.Second}}
		o := r.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
		})
		require.ErrorIs(t, o.Err, context.DeadlineExceeded)
		assert.GreaterOrEqual(t, o.Took, 5*time.Second)
		assert.Less(t, o.Took, 7*time.Second)
	})
}
