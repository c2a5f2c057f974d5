// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import "strings"

var oddNames = [][]string{
	{"capulet.example", "capulet.example/balcony", "capulet.example/juliet@capulet.example"},
	{"juliet@capulet.example", "juliet@capulet.example/balcony", "juliet@capulet.example/balcony/2", "juliet@capulet.example/Balcony", "juliet@capulet.example/balcon", "juliet@capulet.example/x@y/z"},
	{"juliet@capulet.example.net", "juliet@capulet.example.net/balcony"},
	{"juliet@capulet.exampl", "juliet@capulet.exampl/e"},
	{"liet@capulet.example", "liet@capulet.example/balcony"},
	{"juliet%@capulet.example", "juliet%@capulet.example/%", "juliet%@capulet.example/_", "juliet%@capulet.example/*"},
	{"juliet_@capulet.example", "juliet_@capulet.example/%"},
	{"julie%@capulet.example"},
	{"julie_@capulet.example"},
	{"%@capulet.example"},
	{`juliet\@capulet.example`, `juliet\@capulet.example/\`, `juliet\@capulet.example/\%`},
	{"x;--@capulet.example", "x;--@capulet.example/'; DROP TABLE mam; --", "x;--@capulet.example/' OR '1'='1", `x;--@capulet.example/" OR ""="`},
	{"x);--@capulet.example"},
	{"null@capulet.example", "null@capulet.example/NULL", "null@capulet.example/null"},
	{"$1@capulet.example", "$1@capulet.example/?", "$1@capulet.example/:1", "$1@capulet.example/@p1", "$1@capulet.example/%s", "$1@capulet.example/{}"},
	{"1@capulet.example", "1@capulet.example/1", "1@capulet.example/01", "1@capulet.example/1.0", "1@capulet.example/1e0"},
	{"01@capulet.example"},
	{"muller@capulet.example", "muller@capulet.example/ä", "muller@capulet.example/a"},
	{"müller@capulet.example"},
	{"strasse@capulet.example"},
	{"straße@capulet.example"},
	{"日本@capulet.example", "日本@capulet.example/日本語", "日本@capulet.example/🙂", "日本@capulet.example/🙃"},
	{"books@bücher.example"},
	{"books@bucher.example"},
	{strings.Repeat("a", 1022) + "b@capulet.example", strings.Repeat("a", 1022) + "b@capulet.example/" + strings.Repeat("r", 1023), strings.Repeat("a", 1022) + "b@capulet.example/" + strings.Repeat("r", 1022) + "s"},
	{strings.Repeat("a", 1022) + "c@capulet.example"},
}

// oddTexts are texts that somebody may try for an id.
var oddTexts = []string{
	"0", "1", "-1", "01", "1.0", "1e0", " 1", "null", "NULL", "nil", "true",
	"'", `"`, "`", `\`, "%", "_", "*", "?", ".*", "$1", ":1", "@p1", "%s", "{}", " ", "\t", "\n",
	"' OR '1'='1", `" OR ""="`, "1 OR 1=1", "'; DROP TABLE mam; --", "x') ON CONFLICT DO NOTHING; --", "/* */", "--",
	"<", "&amp;", "]]>", "日本語", "🙂", "\ufffd", "../1", "a\u0308",
	strings.Repeat("x", 4096), "{" + strings.Repeat("[", 100),
}

// oddXML are messages that are easily not kept as they are: by trimming, by
// normalizing, by taking bytes for text, or by taking nothing for NULL.
var oddXML = []string{
	"",
	" ",
	"<message xmlns='jabber:client'/>",
	"<message xmlns='jabber:client' xml:lang=\"it\"><body>\r\n\t \u00a0 </body>\n\n</message>\n",
	"<message xmlns='jabber:client'><body>&lt;&#x1F642;🙂&amp;'\"`\\</body></message>",
	"<message xmlns='jabber:client'><body><![CDATA[%s $1 ? :1]]></body></message>",
	"<message xmlns='jabber:client'><body>a\u0308 ä \u200b\u2028\ufeff\ufffd</body></message>",
	"\x00\x01\x7f\x80\xfe\xff",
	"'; DROP TABLE mam; --",
	`\x3c3e`,
	"null",
	"0",
}
