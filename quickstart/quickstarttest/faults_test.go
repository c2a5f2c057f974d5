// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest_test

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/xmppext/xmppext/quickstart"
	"github.com/xmppext/xmppext/quickstart/quickstarttest"
)

func TestRules(t *testing.T) {
	check := func(r quickstarttest.Runner, newCache func() quickstart.Cache) {
		quickstarttest.CheckCache(r, func(testing.TB) quickstart.Cache { return newCache() })
	}
	with := func(b broken) func() quickstart.Cache {
		return func() quickstart.Cache { return &faulty{broken: b, disk: new(disk)} }
	}
	filed := func(file func(account, trust, name string) string) func() quickstart.Cache {
		return with(broken{file: file})
	}
	keeping := func(keep func(old, value []byte) []byte) func() quickstart.Cache {
		return with(broken{keep: keep})
	}
	absent := errors.New("no such file")
	type f = fault[quickstart.Cache]
	expectFaults(t, check, []f{
		{name: "in memory", cache: func() quickstart.Cache { return new(quickstart.MemoryCache) }},
		{name: "faultless", cache: with(broken{})},
		{name: "refuses full JIDs", cache: with(broken{full: refused})},
		{name: "refuses large values", cache: with(broken{most: 64 << 10})},
		{name: "empty is absent", cache: keeping(func(_, value []byte) []byte {
			if len(value) == 0 {
				return nil
			}
			return value
		})},
	}, []f{
		{name: "an error of what is absent", breaks: []string{"nothing put", "delete what is not there"}, cache: with(broken{absent: absent})},
		{name: "absent is empty", breaks: []string{"nothing put", "put after delete"}, cache: with(broken{empty: true})},
		{name: "trimmed", breaks: []string{"values are opaque"}, cache: keeping(func(_, value []byte) []byte { return bytes.TrimSpace(value) })},
		{name: "C strings", breaks: []string{"values are opaque"}, cache: keeping(func(_, value []byte) []byte {
			value, _, _ = bytes.Cut(value, []byte{0})
			return value
		})},
		{name: "UTF-8", breaks: []string{"values are opaque"}, cache: keeping(func(_, value []byte) []byte { return bytes.ToValidUTF8(value, []byte("\ufffd")) })},
		{name: "small values only", breaks: []string{"values are opaque"}, cache: keeping(func(_, value []byte) []byte { return value[:min(len(value), 1<<15)] })},
		{name: "written over the old value", breaks: []string{"a new value replaces the old one"}, cache: keeping(func(old, value []byte) []byte {
			return append(value, old[min(len(old), len(value)):]...)
		})},
		{name: "empty is no change", breaks: []string{"a new value replaces the old one"}, cache: keeping(func(old, value []byte) []byte {
			if len(value) == 0 {
				return old
			}
			return value
		})},
		{name: "the first value", breaks: []string{"a new value replaces the old one"}, cache: keeping(func(old, value []byte) []byte {
			if old != nil {
				return old
			}
			return value
		})},
		{name: "the caller's bytes", breaks: []string{"values are copies"}, cache: with(broken{lends: true})},
		{name: "its own bytes", breaks: []string{"values are copies"}, cache: with(broken{exposes: true})},
		{name: "few values", breaks: []string{"room"}, cache: with(broken{room: 99})},
		{name: "refuses with an error of its own", breaks: []string{"large values"}, cache: with(broken{most: 100 << 10, refusal: absent})},
		{name: "drops what is too large", breaks: []string{"large values"}, cache: with(broken{most: 100 << 10, refusal: quickstart.ErrTooLarge, drops: true})},
		{name: "cuts what is too large", breaks: []string{"large values"}, cache: keeping(func(_, value []byte) []byte { return value[:min(len(value), 1<<20)] })},
		{name: "deaf", breaks: []string{"a context that has ended"}, cache: with(broken{deaf: true})},
		{name: "the error comes late", breaks: []string{"a context that has ended"}, cache: with(broken{late: true})},

		{name: "one account", breaks: []string{"accounts do not mix", "delete all of an account"}, cache: filed(func(_, trust, name string) string { return key("", trust, name) })},
		{name: "localparts", breaks: []string{"accounts do not mix", "delete all of an account"}, cache: filed(func(account, trust, name string) string {
			local, _, _ := strings.Cut(account, "@")
			return key(local, trust, name)
		})},
		{name: "short account names", breaks: []string{"accounts do not mix"}, cache: filed(func(account, trust, name string) string {
			return key(account[:min(len(account), 255)], trust, name)
		})},
		{name: "no trust", breaks: []string{"trust configurations do not mix"}, cache: filed(func(account, _, name string) string { return key(account, "", name) })},
		{name: "any case", breaks: []string{"names do not mix", "trust configurations do not mix"}, cache: filed(func(account, trust, name string) string {
			return key(account, strings.ToLower(trust), strings.ToLower(name))
		})},
		{name: "paths", breaks: []string{"names do not mix"}, cache: filed(func(account, trust, name string) string { return key(account, trust, path.Clean(name)) })},
		{name: "ASCII", breaks: []string{"trust configurations do not mix"}, cache: filed(func(account, trust, name string) string {
			return key(account, strings.Map(func(r rune) rune { return min(r, 127) }, trust), name)
		})},
		{name: "parts in a row", breaks: []string{"parts of keys do not mix"}, cache: filed(func(account, trust, name string) string { return account + trust + name })},
		{name: "parts with slashes", breaks: []string{"parts of keys do not mix"}, cache: filed(func(account, trust, name string) string { return account + "/" + trust + "/" + name })},
		{name: "full JIDs", breaks: []string{"bare accounts"}, cache: with(broken{full: kept})},

		{name: "deletes all accounts", breaks: []string{"delete all of an account"}, cache: with(broken{deletes: func(_, _ entry, _ []string) bool { return true }})},
		{name: "deletes what is shared, too", breaks: []string{"delete all of an account"}, cache: with(broken{deletes: func(e, of entry, names []string) bool {
			return (e.account == of.account || e.account == "") && named(e, names)
		}})},
		{name: "deletes by a pattern", breaks: []string{"delete all of an account"}, cache: with(broken{deletes: func(e, of entry, names []string) bool {
			ok, _ := path.Match(of.account, e.account)
			return (ok || e.account == of.account) && named(e, names)
		}})},
		{name: "deletes by the beginning of a name", breaks: []string{"delete by name"}, cache: with(broken{deletes: func(e, of entry, names []string) bool {
			return e.account == of.account && (len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(e.name, n) }))
		}})},
		{name: "deletes under the first trust", breaks: []string{"delete all of an account", "delete by name"}, cache: with(broken{deletes: func(e, of entry, names []string) bool {
			return e.account == of.account && e.trust == "" && named(e, names)
		}})},
		{name: "deletes the first name", breaks: []string{"delete by name"}, cache: with(broken{deletes: func(e, of entry, names []string) bool {
			return e.account == of.account && named(e, names[:min(len(names), 1)])
		}})},
		{name: "names do not matter", breaks: []string{"delete by name"}, cache: with(broken{deletes: func(e, of entry, _ []string) bool { return e.account == of.account }})},
		{name: "deletes for ever", breaks: []string{"put after delete"}, cache: with(broken{forever: true})},
		{name: "one file, read and written", breaks: []string{"several sessions at once"}, cache: with(broken{whole: new(crossing).wait})},
		{name: "written in two parts", breaks: []string{"one value at once", "deleted at once"}, cache: with(broken{torn: new(crossing).wait})},
	})
}

func TestReopenedRules(t *testing.T) {
	check := func(r quickstarttest.Runner, newDisk func() func() quickstart.Cache) {
		quickstarttest.CheckReopened(r, func(testing.TB) func(testing.TB) quickstart.Cache {
			open := newDisk()
			return func(testing.TB) quickstart.Cache { return open() }
		})
	}
	with := func(b broken) func() func() quickstart.Cache {
		return func() func() quickstart.Cache {
			d := new(disk)
			return func() quickstart.Cache { return &faulty{broken: b, disk: d} }
		}
	}
	type f = fault[func() quickstart.Cache]
	expectFaults(t, check, []f{
		{name: "faultless", cache: with(broken{})},
		{name: "written when it is closed", cache: func() func() quickstart.Cache {
			d := new(disk)
			return func() quickstart.Cache { return &closing{faulty: faulty{disk: d.copy()}, to: d} }
		}},
	}, []f{
		{name: "in memory", breaks: []string{"values survive", "replaced values do not come back", "deleted values do not come back"}, cache: func() func() quickstart.Cache {
			return func() quickstart.Cache { return new(quickstart.MemoryCache) }
		}},
		{name: "new values only", breaks: []string{"replaced values do not come back"}, cache: with(broken{log: func(old bool) bool { return !old }})},
		{name: "deletes in memory", breaks: []string{"deleted values do not come back"}, cache: with(broken{softly: true})},
	})
}

func TestSharedRules(t *testing.T) {
	check := func(r quickstarttest.Runner, newDisk func() func() quickstart.Cache) {
		quickstarttest.CheckShared(r, func(testing.TB) (a, b quickstart.Cache) {
			open := newDisk()
			return open(), open()
		})
	}
	with := func(b broken) func() func() quickstart.Cache {
		return func() func() quickstart.Cache {
			d := new(disk)
			return func() quickstart.Cache { return &faulty{broken: b, disk: d} }
		}
	}
	type f = fault[func() quickstart.Cache]
	expectFaults(t, check, []f{{name: "faultless", cache: with(broken{})}}, []f{
		{name: "in memory", breaks: []string{"values are shared"}, cache: func() func() quickstart.Cache {
			return func() quickstart.Cache { return new(quickstart.MemoryCache) }
		}},
		{name: "deletes in memory", breaks: []string{"values are shared"}, cache: with(broken{softly: true})},
		{name: "written in two parts", breaks: []string{"one value in several processes"}, cache: with(broken{torn: new(crossing).wait})},
	})
}
