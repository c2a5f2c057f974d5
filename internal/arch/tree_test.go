// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package arch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// top is the root of the tree, seen from this package.
const top = "../.."

var (
	licence = regexp.MustCompile(`(?m)^// Copyright 20\d\d The xmppext Contributors\.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file\.$`)

	// machinePath matches the beginning of a path that exists on somebody's
	// machine only; the middle of a URL or of a relative path is none.
	machinePath = regexp.MustCompile(`(?:^|[^\w.}~*/-])/(?:tmp|root|home|work)/\S*`)
)

// outside holds the directories of modules that the workspace must not use, for
// the reasons in internal/docs/workspace.md.
var outside = map[string]bool{"internal/interop/clients/goxmpp": true}

// tree is what the rules are checked against.
type tree struct {
	modules map[string]string // from directory to module path
	pkgs    []pkg
	docs    map[string]bool // package directories: is there a package comment?
	found   []string        // violations in single files
}

// readTree reads all source files below dir, whatever they are built for.
func readTree(t *testing.T, dir string) *tree {
	t.Helper()
	tr := &tree{modules: map[string]string{}, docs: map[string]bool{}}
	pkgs := map[string]*pkg{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == ".git" || rel == "bin" || rel == "internal/tools" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		tr.found = append(tr.found, checkText(rel, src)...)
		if hidden(rel) {
			return nil
		}
		at := path.Dir(rel)
		switch {
		case path.Base(rel) == "go.mod":
			tr.modules[at] = moduleOf(src)
		case strings.HasSuffix(rel, ".go"):
			f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			tr.found = append(tr.found, checkSource(rel, f)...)
			if pkgs[at] == nil {
				pkgs[at] = &pkg{Path: path.Join(root, at)}
			}
			test := strings.HasSuffix(rel, "_test.go")
			for _, imp := range f.Imports {
				p, err := strconv.Unquote(imp.Path.Value)
				if err != nil {
					return err
				}
				if test {
					pkgs[at].TestImports = append(pkgs[at].TestImports, p)
				} else {
					pkgs[at].Imports = append(pkgs[at].Imports, p)
				}
			}
			if !test {
				tr.docs[at] = tr.docs[at] || f.Doc != nil
			}
		}
		return nil
	})
	require.NoError(t, err)

	// Module files are met in any order, so packages find theirs at the end.
	for at, p := range pkgs {
		for dir := at; p.Module == ""; dir = path.Dir(dir) {
			p.Module = tr.modules[dir]
			require.False(t, dir == "." && p.Module == "", "%s is in no module", at)
		}
		tr.pkgs = append(tr.pkgs, *p)
	}
	return tr
}

// hidden reports whether the go command overlooks the file.
func hidden(rel string) bool {
	for elem := range strings.SplitSeq(rel, "/") {
		if elem == "testdata" || elem[0] == '.' || elem[0] == '_' {
			return true
		}
	}
	return false
}

// moduleOf returns the module path in a go.mod file.
func moduleOf(src []byte) string {
	for line := range strings.Lines(string(src)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// checkText returns the violations in any text file.
func checkText(rel string, src []byte) []string {
	if bytes.IndexByte(src, 0) >= 0 {
		return nil // not a text
	}
	var found []string
	for i, line := range bytes.Split(src, []byte{'\n'}) {
		if m := machinePath.Find(line); m != nil {
			found = append(found, fmt.Sprintf("no machine paths: %s:%d: %s", rel, i+1, m))
		}
	}
	return found
}

// checkSource returns the violations in a Go file.
func checkSource(rel string, f *ast.File) []string {
	var found []string
	licensed := false
	for _, group := range f.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname") {
				found = append(found, "no linkname: "+rel+": "+c.Text)
			}
		}
		if group.End() < f.Package {
			var text strings.Builder
			for _, c := range group.List {
				text.WriteString(c.Text + "\n")
			}
			licensed = licensed || licence.MatchString(text.String())
		}
	}
	if !licensed {
		found = append(found, "licence header: "+rel+" has none")
	}
	return found
}

func TestFileRules(t *testing.T) {
	const header = `// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.
`
	for _, tc := range []struct{ name, rule, src string }{
		{"header", "", header + "\npackage a\n"},
		{"header below a generator's line", "", "// Code generated by x. DO NOT EDIT.\n\n" + header + "\npackage a\n"},
		{"no header", "licence header", "// Package a is bare.\npackage a\n"},
		{"another header", "licence header", strings.Replace(header, "BSD 2-clause", "GPL", 1) + "\npackage a\n"},
		{"header too late", "licence header", "package a\n\n" + header},
		{"linkname", "no linkname", header + "\npackage a\n\n//go:linkname b c.d\nfunc b()\n"},
		{"linkname in a string", "", header + "\npackage a\n\nconst b = `\n//go:linkname b c.d\n`\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), "a.go", tc.src, parser.ParseComments)
			require.NoError(t, err)
			expectRule(t, tc.rule, checkSource("a.go", f))
		})
	}

	const home = "/" + "home/"
	for _, tc := range []struct{ name, rule, text string }{
		{"path at the start", "no machine paths", home + "me/x"},
		{"path in quotes", "no machine paths", `dir := "` + home + `me/x"`},
		{"path in an assignment", "no machine paths", "DIR=" + "/" + "tmp/x make"},
		{"path on the second line", "no machine paths", "first\n  " + "/" + "root/x"},
		{"path in a flag", "no machine paths", "-C=" + "/" + "work/main"},
		{"web address", "", "https://example.net" + home + "me"},
		{"relative path", "", ".." + home + "me"},
		{"directory by variable", "", "${TMPDIR:-" + "/" + "tmp}/x"},
		{"binary", "", home + "me\x00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expectRule(t, tc.rule, checkText("a.txt", []byte(tc.text)))
		})
	}
}

// expectRule asserts that exactly the named rule was found broken, or none.
func expectRule(t *testing.T, rule string, found []string) {
	t.Helper()
	if rule == "" {
		assert.Empty(t, found)
		return
	}
	require.Len(t, found, 1)
	assert.True(t, strings.HasPrefix(found[0], rule+": "), found[0])
}

func TestTree(t *testing.T) {
	tr := readTree(t, top)
	t.Run("files", func(t *testing.T) {
		for _, v := range tr.found {
			t.Error(v)
		}
	})
	t.Run("imports", func(t *testing.T) {
		require.NotEmpty(t, tr.pkgs)
		for _, v := range checkImports(tr.pkgs) {
			t.Error(v)
		}
	})
	t.Run("package comments", func(t *testing.T) {
		for dir, ok := range tr.docs {
			assert.True(t, ok, "%s has no package comment", dir)
		}
	})
	t.Run("few requirements", func(t *testing.T) {
		var mod struct {
			Require []struct {
				Path     string
				Indirect bool
			}
		}
		goJSON(t, &mod, "mod", "edit", "-json")
		var direct []string
		for _, r := range mod.Require {
			if !r.Indirect {
				direct = append(direct, r.Path)
			}
		}
		for _, v := range checkRequires(direct) {
			t.Error(v)
		}
	})
	t.Run("every module is in the workspace", func(t *testing.T) {
		var work struct{ Use []struct{ DiskPath string } }
		goJSON(t, &work, "work", "edit", "-json")
		used := map[string]bool{}
		for _, u := range work.Use {
			used[path.Clean(u.DiskPath)] = true
		}
		for dir := range tr.modules {
			assert.Equal(t, outside[dir], !used[dir], "go.work and %s: without it, its tests would not run", dir)
		}
	})
}

// goJSON runs the go command at the top of the tree and decodes what it prints.
func goJSON(t *testing.T, v any, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = top
	out, err := cmd.Output()
	require.NoError(t, err, "go %s", strings.Join(args, " "))
	require.NoError(t, json.Unmarshal(out, v))
}
