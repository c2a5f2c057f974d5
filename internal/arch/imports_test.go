// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package arch_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	root     = "github.com/xmppext/xmppext"
	examples = root + "/examples"
	tools    = root + "/internal/tools"
	testify  = "github.com/stretchr/testify"
)

// mayImport lists, for the packages that join others, the packages they join.
// Every other public package keeps to itself and its own subpackages, so a new
// room that joins two must be entered here.
var mayImport = map[string][]string{
	"bind2/hub":  {"bind2", "carbons", "mam"},
	"quickstart": {"auth", "bind2", "mam", "pipelining"},
}

// login lists the packages that tests of all others may use: what they negotiate is
// negotiated on the one, and what rides along on a login, on the other.
var login = []string{root + "/pipelining", root + "/auth"}

// mayUse lists the packages of other people that single packages are built on.
var mayUse = map[string][]string{
	// SCRAM with stored keys and channel binding is no purpose of this module.
	"auth": {"github.com/xdg-go/scram", "github.com/xdg-go/stringprep"},
}

// mayRequire holds the modules that the root module may require directly.
var mayRequire = []string{
	"github.com/xdg-go/scram",
	"github.com/xdg-go/stringprep",
	"mellium.im/reader",
	"mellium.im/sasl",
	"mellium.im/xmlstream",
	"mellium.im/xmpp",
	testify,
}

// pkg is what the rules know about a package.
type pkg struct {
	Module      string // path of the module it is in
	Path        string
	Imports     []string
	TestImports []string // of both kinds of tests
}

// checkImports returns the violations of the import rules, each beginning with
// the name of the rule.
func checkImports(pkgs []pkg) []string {
	var found []string
	for _, p := range pkgs {
		for _, imp := range p.Imports {
			if rule := broken(p, imp, false); rule != "" {
				found = append(found, fmt.Sprintf("%s: %s imports %s", rule, p.Path, imp))
			}
		}
		for _, imp := range p.TestImports {
			if rule := broken(p, imp, true); rule != "" {
				found = append(found, fmt.Sprintf("%s: a test of %s imports %s", rule, p.Path, imp))
			}
		}
	}
	return found
}

// broken returns the name of the rule that an import breaks, or "".
func broken(p pkg, imp string, test bool) string {
	var (
		internal = p.Module == root && hasElem(p.Path, "internal")
		example  = p.Module == examples
		own      = within(imp, root)
		usual    = standard(imp) || within(imp, testify)
	)
	switch {
	case imp == "unsafe":
		return "no unsafe"
	case imp == "reflect" && !test && !internal && !example:
		return "no reflect"
	case within(imp, examples) && !example:
		return "nothing imports examples"
	case isSuite(imp) && !test && !internal && imp != p.Path:
		return "test packages are for tests"

	case p.Module != root:
		if own && hasElem(imp, "internal") && !within(imp, p.Module) {
			return "nested modules are strangers"
		}
	case internal:
		if own && !within(imp, root+"/internal") || !own && !usual {
			return "internal stands below"
		}
	case isSuite(p.Path):
		served := path.Dir(p.Path)
		if own && imp != p.Path && imp != served && !joined(served, imp) || !own && !usual || within(imp, "golang.org/x") {
			return "test packages serve one package"
		}
	case !own:
		if !standard(imp) && !(test && usual) && !slices.Contains(mayUse[strings.TrimPrefix(p.Path, root+"/")], imp) {
			return "few dependencies"
		}
	case test && slices.Contains(login, imp):
	case !hasElem(imp, "internal") && !joins(p.Path, imp):
		return "packages stand apart"
	}
	return ""
}

// joins reports whether the public package p may import imp, another one.
// A test package counts as the package it serves.
func joins(p, imp string) bool {
	if isSuite(imp) {
		imp = path.Dir(imp)
	}
	p, imp = strings.TrimPrefix(p, root+"/"), strings.TrimPrefix(imp, root+"/")
	for at := p; at != "."; at = path.Dir(at) {
		if list, ok := mayImport[at]; ok {
			return within(imp, at) || slices.Contains(list, imp)
		}
	}
	family, _, _ := strings.Cut(p, "/")
	return within(imp, family) && mayImport[imp] == nil
}

// joined reports whether imp is one of the packages that p joins. A test package may
// import them like p.
func joined(p, imp string) bool {
	return slices.Contains(mayImport[strings.TrimPrefix(p, root+"/")], strings.TrimPrefix(imp, root+"/"))
}

// isSuite reports whether p is one of our public packages for other people's
// tests: mamtest and the like.
func isSuite(p string) bool {
	return within(p, root) && strings.HasSuffix(p, "test")
}

// standard reports whether imp is what any of our packages may use.
func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".") || within(imp, "mellium.im") || within(imp, "golang.org/x")
}

// within reports whether p is dir or below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

func hasElem(p, elem string) bool {
	return slices.Contains(strings.Split(p, "/"), elem)
}

// checkRequires returns the violations among the direct requirements of the
// root module.
func checkRequires(modules []string) []string {
	var found []string
	for _, m := range modules {
		if !slices.Contains(mayRequire, m) && !within(m, "golang.org/x") {
			found = append(found, "few requirements: "+root+" requires "+m)
		}
	}
	return found
}

func TestImportRules(t *testing.T) {
	// Paths that begin with a slash are below the root module.
	for _, tc := range []struct {
		rule, module, path, imp string
		test                    bool
		name                    string
	}{
		{rule: "no unsafe", path: "/mam", imp: "unsafe"},
		{rule: "no unsafe", path: "/mam", imp: "unsafe", test: true},
		{rule: "no unsafe", path: "/internal/xmpptest", imp: "unsafe"},
		{rule: "no unsafe", module: "/examples", path: "/examples/server", imp: "unsafe"},

		{rule: "no reflect", path: "/mam", imp: "reflect"},
		{rule: "no reflect", path: "/mam/mamtest", imp: "reflect"},
		{rule: "no reflect", module: "/mam/mamsqlite", path: "/mam/mamsqlite", imp: "reflect"},
		{path: "/mam", imp: "reflect", test: true},
		{path: "/internal/xmpptest", imp: "reflect"},
		{module: "/examples", path: "/examples/server", imp: "reflect"},

		{rule: "nothing imports examples", path: "/mam", imp: "/examples/server"},
		{rule: "nothing imports examples", path: "/mam", imp: "/examples/server", test: true},
		{rule: "nothing imports examples", path: "/internal/xmpptest", imp: "/examples"},
		{rule: "nothing imports examples", module: "/mam/mampg", path: "/mam/mampg", imp: "/examples/server"},
		{module: "/examples", path: "/examples/server", imp: "/examples/kit"},

		{rule: "test packages are for tests", path: "/mam", imp: "/mam/mamtest"},
		{rule: "test packages are for tests", path: "/mam", imp: "/internal/xmpptest"},
		{rule: "test packages are for tests", path: "/mucfr/mucfrtest", imp: "/mam/mamtest"},
		{rule: "test packages are for tests", module: "/mam/mampg", path: "/mam/mampg", imp: "/mam/mamtest"},
		{rule: "test packages are for tests", module: "/examples", path: "/examples/server", imp: "/mam/mamtest"},
		{path: "/mam", imp: "/mam/mamtest", test: true},
		{path: "/mam", imp: "/internal/xmpptest", test: true},
		{path: "/bind2/hub", imp: "/mam/mamtest", test: true},
		{path: "/internal/interop", imp: "/internal/xmpptest"},
		{module: "/mam/mampg", path: "/mam/mampg", imp: "/mam/mamtest", test: true},

		{rule: "nested modules are strangers", module: "/mam/mampg", path: "/mam/mampg", imp: "/internal/xmpptest", test: true},
		{rule: "nested modules are strangers", module: "/mam/mampg", path: "/mam/mampg", imp: "/mam/internal/wire"},
		{rule: "nested modules are strangers", module: "/examples", path: "/examples/server", imp: "/internal/interop"},
		{module: "/mam/mampg", path: "/mam/mampg", imp: "/mam"},
		{module: "/mam/mampg", path: "/mam/mampg", imp: "github.com/jackc/pgx/v5"},
		{module: "/examples", path: "/examples/server", imp: "/examples/internal/kit"},

		{rule: "internal stands below", path: "/internal/xmpptest", imp: "/pipelining"},
		{rule: "internal stands below", path: "/internal/xmpptest", imp: "/pipelining", test: true},
		{rule: "internal stands below", path: "/internal/interop", imp: ""},
		{rule: "internal stands below", path: "/internal/interop", imp: "github.com/jackc/pgx/v5"},
		{path: "/internal/interop", imp: "/internal/xmpptest", test: true},
		{path: "/internal/interop", imp: "mellium.im/xmpp"},
		{path: "/internal/interop", imp: testify + "/require"},
		{path: "/internal/interop", imp: "golang.org/x/net/proxy"},

		{rule: "test packages serve one package", path: "/mam/mamtest", imp: "/bind2"},
		{rule: "test packages serve one package", path: "/mam/mamtest", imp: "/bind2", test: true},
		{rule: "test packages serve one package", path: "/mam/mamtest", imp: "/internal/xmpptest", test: true},
		{rule: "test packages serve one package", path: "/mam/mamtest", imp: "golang.org/x/text/unicode/norm"},
		{rule: "test packages serve one package", path: "/mam/mamtest", imp: "github.com/google/go-cmp/cmp"},
		{path: "/mam/mamtest", imp: "/mam"},
		{path: "/mam/mamtest", imp: "/mam/mamtest", test: true},
		{path: "/mam/mamtest", imp: testify + "/assert"},
		{path: "/mam/mamtest", imp: "mellium.im/xmpp/stanza"},

		{rule: "few dependencies", path: "/mam", imp: "github.com/google/uuid"},
		{rule: "few dependencies", path: "/mam", imp: "github.com/google/uuid", test: true},
		{rule: "few dependencies", path: "/mam", imp: testify + "/assert"},
		{rule: "few dependencies", path: "/mam", imp: "mellium.im.example.net/xmpp"},
		{rule: "few dependencies", path: "/pipelining", imp: "github.com/xmppext/xmppextra"},
		{path: "/mam", imp: testify + "/assert", test: true},
		{path: "/mam", imp: "encoding/xml"},
		{path: "/mam", imp: "golang.org/x/sync/errgroup"},
		{path: "/mam", imp: "mellium.im/xmlstream"},

		{rule: "packages stand apart", path: "/auth", imp: "/pipelining"},
		{rule: "packages stand apart", path: "/bind2", imp: "/carbons"},
		{rule: "packages stand apart", path: "/bind2", imp: "/bind2/hub"},
		{rule: "packages stand apart", path: "/carbons", imp: "/mam"},
		{rule: "packages stand apart", path: "/mam", imp: "/carbons", test: true},
		{rule: "packages stand apart", path: "/mam", imp: "/mucfr/mucfrtest", test: true},
		{rule: "packages stand apart", path: "/mucfr", imp: "/mam/page"},
		{rule: "packages stand apart", path: "/mucfr", imp: "/quickstart"},
		{rule: "packages stand apart", path: "/pipelining", imp: "/bind2", test: true},
		{rule: "packages stand apart", path: "/bind2/hub", imp: "/pipelining"},
		{rule: "packages stand apart", path: "/bind2/hub", imp: "/mucfr"},
		{rule: "packages stand apart", path: "/quickstart", imp: "/carbons"},
		{rule: "packages stand apart", path: "/quickstart", imp: "/bind2/hub"},
		{rule: "packages stand apart", path: "/newcomer", imp: "/mam"},
		{rule: "few dependencies", path: "/mam", imp: "github.com/xdg-go/scram"},
		{path: "/auth", imp: "github.com/xdg-go/scram"},
		{path: "/auth", imp: "/pipelining", test: true},
		{path: "/bind2", imp: "/auth", test: true},
		{path: "/bind2/hub", imp: "/bind2"},
		{path: "/bind2/hub", imp: "/carbons"},
		{path: "/bind2/hub", imp: "/mam"},
		{path: "/quickstart", imp: "/auth"},
		{path: "/quickstart", imp: "/bind2"},
		{path: "/quickstart", imp: "/mam"},
		{path: "/quickstart", imp: "/pipelining"},
		{path: "/quickstart", imp: "/quickstart/trace"},
		{path: "/quickstart", imp: "/internal/wire"},
		{rule: "test packages serve one package", path: "/bind2/hub/hubtest", imp: "/auth"},
		{path: "/bind2/hub/hubtest", imp: "/bind2/hub"},
		{path: "/bind2/hub/hubtest", imp: "/mam"},
		{path: "/mam", imp: "/mam", test: true},
	} {
		p := pkg{Module: root + tc.module, Path: root + tc.path}
		imp := tc.imp
		if imp == "" || imp[0] == '/' {
			imp = root + imp
		}
		verb := " imports "
		if tc.test {
			p.TestImports, verb = []string{imp}, " tests with "
		} else {
			p.Imports = []string{imp}
		}
		name := tc.rule
		if name == "" {
			name = "allowed"
		}
		t.Run(name+"/"+p.Path[len(root)+1:]+verb+tc.imp, func(t *testing.T) {
			expectRule(t, tc.rule, checkImports([]pkg{p}))
		})
	}

	t.Run("few requirements", func(t *testing.T) {
		assert.Empty(t, checkRequires([]string{"mellium.im/xmpp", "mellium.im/sasl", "golang.org/x/net", testify}))
		assert.Len(t, checkRequires([]string{"mellium.im/legacy", "modernc.org/sqlite", testify + "/v2", "golang.org/xx"}), 4)
	})
}
