// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
	"github.com/xmppext/xmppext/mucfr"
)

// reopen opens the service again, attached, with the same clients.
func (h *house) reopen(opts groupchat.Options) {
	h.t.Helper()
	opts.Send = h.deliver
	s, err := groupchat.Open(h.t.Context(), jid.MustParse(domain), opts)
	require.NoError(h.t, err)
	h.service = s
	s.Attached()
}

// kept are options with a store and records.
func kept(t *testing.T) groupchat.Options {
	return groupchat.Options{Store: new(mucfr.Memory), Records: groupchat.Dir(t.TempDir())}
}

// broken are records that cannot be stored as long as err is set.
type broken struct {
	groupchat.Records
	err     error
	putting func() // unless it is nil, called first
}

func (b *broken) Put(ctx context.Context, r groupchat.Record) error {
	if b.putting != nil {
		b.putting()
	}
	if b.err != nil {
		return b.err
	}
	return b.Records.Put(ctx, r)
}

func TestRestart(t *testing.T) {
	// begin opens a house that stores, with the pair in it.
	begin := func(t *testing.T, opts groupchat.Options, fields ...string) (h *house, crone, hag *client) {
		h = open(t, opts)
		crone, hag = h.client("crone@shakespeare.example/desk"), h.client("hag@shakespeare.example/broom")
		crone.join("crone", fast)
		crone.configure(fields...)
		hag.join("hag", fast)
		h.quiet()
		return h, crone, hag
	}
	for _, rule := range []string{"shut down", "crashed"} {
		t.Run("what clients know of a room that has "+rule+" is known again", func(t *testing.T) {
			opts := kept(t)
			h, crone, hag := begin(t, opts, "moderatedroom", "1", "roomname", "Cave")
			require.Empty(t, crone.admin(`<item affiliation="member" jid="hag@shakespeare.example"/>`))
			crone.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
			h.quiet()
			last := hag.last
			if rule == "crashed" {
				require.NoError(t, h.service.Save(t.Context()))
			} else {
				h.service.Shutdown()
				require.NoError(t, h.service.Close(t.Context()))
				assert.Equal(t, []string{"hag unavailable member/none 110 332"}, hag.hears(), "clients are told")
				assert.Equal(t, []string{"crone unavailable owner/none 110 332"}, crone.hears())
			}
			h.reopen(opts)
			assert.Equal(t, []string{"hag unavailable member/none 110 333"}, hag.hears(), "clients are told when it is there again")
			assert.Equal(t, []string{"crone unavailable owner/none 110 333"}, crone.hears())
			assert.Equal(t, last, hag.last, "where to resume is before that")

			assert.Contains(t, crone.ask("get", cave, discoInfo).text, `name="Cave"`)
			end := []string{`CAVE subject "" *`}
			if rule == "crashed" {
				end = append([]string{"CAVE truncated"}, end...) // Something may have been lost.
			}
			assert.Equal(t, append([]string{"hag member/participant 110 *"}, end...), hag.resume("hag"), "nothing of the other one")
			assert.Equal(t, append([]string{"crone owner/moderator jid=crone@shakespeare.example/desk 110 *"}, end...), crone.resume("crone"))
			assert.Empty(t, hag.hears(), "nobody has entered")
			assert.Equal(t, last.Session, hag.last.Session)
		})
	}
	t.Run("a room is gone when it is empty, unless it is persistent", func(t *testing.T) {
		for fields, want := range map[string]string{"0": "", "1": cave} {
			opts := kept(t)
			h, crone, hag := begin(t, opts, "persistentroom", fields)
			require.NoError(t, h.service.Save(t.Context()))
			crone.leave("crone")
			hag.leave("hag")
			require.NoError(t, h.service.Close(t.Context()))
			all, err := opts.Records.All(t.Context())
			require.NoError(t, err)
			entries, err := opts.Store.Load(t.Context(), jid.MustParse(cave))
			require.NoError(t, err)
			if want == "" {
				assert.Empty(t, all)
				assert.Empty(t, entries)
				continue
			}
			require.Len(t, all, 1)
			assert.Equal(t, want, all[0].Room.String())
			assert.NotEmpty(t, entries)
		}
	})
	t.Run("what was stored of a room of the same name is not that of a new one", func(t *testing.T) {
		opts := kept(t)
		h, crone, hag := begin(t, opts)
		require.NoError(t, h.service.Save(t.Context()))
		last := hag.last
		crone.ask("set", cave, owned(`<destroy/>`))
		crone.join("crone", fast)
		crone.configure()
		require.NoError(t, h.service.Close(t.Context()))
		h.reopen(opts)
		hag.last = last
		assert.Equal(t, "CAVE unavailable reset", hag.resume("hag")[0])
	})
	t.Run("a room that cannot be understood has forgotten everything", func(t *testing.T) {
		opts := kept(t)
		h, _, hag := begin(t, opts, "whois", "anyone")
		h.service.Shutdown()
		require.NoError(t, h.service.Close(t.Context()))
		require.NoError(t, opts.Store.Save(t.Context(), jid.MustParse(cave), []mucfr.Entry{{Key: "room", Value: []byte("nonsense")}}))
		h.reopen(opts)
		assert.Equal(t, []string{
			"CAVE unavailable reset", "hag none/participant jid=hag@shakespeare.example/broom 110 100 *", "CAVE truncated", `CAVE subject "" *`,
		}, hag.resume("hag"))
	})
	t.Run("what could not be stored is stored later", func(t *testing.T) {
		opts := kept(t)
		records := &broken{Records: opts.Records, err: errors.New("the disk is full")}
		opts.Records = records
		h, _, _ := begin(t, opts)
		require.ErrorIs(t, h.service.Save(t.Context()), records.err)
		records.err = nil
		require.NoError(t, h.service.Save(t.Context()))
		all, err := records.All(t.Context())
		require.NoError(t, err)
		assert.Len(t, all, 1)
	})
	t.Run("affiliations are stored, whoever changes them", func(t *testing.T) {
		opts := kept(t)
		h, crone, _ := begin(t, opts, "membersonly", "1")
		stored := func() map[string]muc.Affiliation {
			require.NoError(t, h.service.Save(t.Context()))
			all, err := opts.Records.All(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 1)
			return all[0].Affiliations
		}
		want := map[string]muc.Affiliation{"crone@shakespeare.example": muc.AffiliationOwner}
		assert.Equal(t, want, stored())
		require.Empty(t, crone.admin(`<item affiliation="outcast" jid="hag@shakespeare.example"/>`))
		want["hag@shakespeare.example"] = muc.AffiliationOutcast
		assert.Equal(t, want, stored())
		crone.sendf(`<message to="%s"><x xmlns="http://jabber.org/protocol/muc#user"><invite to="toad@shakespeare.example"/></x></message>`, cave)
		want["toad@shakespeare.example"] = muc.AffiliationMember
		assert.Equal(t, want, stored())
	})
	t.Run("a room that goes while rooms are stored is gone", func(t *testing.T) {
		for range 20 {
			opts := kept(t)
			records := &broken{Records: opts.Records}
			opts.Records = records
			h, crone, hag := begin(t, opts, "persistentroom", "1")
			hag.sendf(`<presence to="heath@%s/hag">%s</presence>`, domain, plain)
			hag.ask("set", "heath@"+domain, owned(`<x xmlns="jabber:x:data" type="submit"/>`))
			putting, saved := make(chan struct{}), make(chan error)
			records.putting = sync.OnceFunc(func() { close(putting) })
			go func() { saved <- h.service.Save(t.Context()) }()
			<-putting
			crone.ask("set", cave, owned(`<destroy/>`))
			require.NoError(t, <-saved)
			require.NoError(t, h.service.Save(t.Context()))
			all, err := records.All(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 1)
			assert.Equal(t, "heath@"+domain, all[0].Room.String())
			entries, err := opts.Store.Load(t.Context(), jid.MustParse(cave))
			require.NoError(t, err)
			assert.Empty(t, entries)
		}
	})
	t.Run("what a room is like counts, when it is newer than what it remembers", func(t *testing.T) {
		opts := kept(t)
		h, _, hag := begin(t, opts)
		require.NoError(t, h.service.Close(t.Context()))
		all, err := opts.Records.All(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		all[0].Config.NonAnonymous = true
		require.NoError(t, opts.Records.Put(t.Context(), all[0]))
		h.reopen(opts)
		assert.Contains(t, hag.join("hag", plain), "hag none/participant jid=hag@shakespeare.example/broom 110 100")
	})
	t.Run("what is left of a room that was never unlocked is not that of a new one", func(t *testing.T) {
		opts := kept(t)
		h := open(t, opts)
		crone := h.client("crone@shakespeare.example/desk")
		crone.join("crone", fast)
		was := crone.last.Session
		h.reopen(opts) // It has crashed.
		crone.join("crone", fast)
		assert.NotEqual(t, was, crone.last.Session)
	})
	t.Run("a room that is locked is not stored", func(t *testing.T) {
		opts := kept(t)
		h := open(t, opts)
		h.client("crone@shakespeare.example/desk").join("crone", plain)
		require.NoError(t, h.service.Save(t.Context()))
		h.service.Shutdown()
		require.NoError(t, h.service.Close(t.Context()))
		entries, err := opts.Store.Load(t.Context(), jid.MustParse(cave))
		require.NoError(t, err)
		assert.Empty(t, entries)
		all, err := opts.Records.All(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
	})
}

func TestDir(t *testing.T) {
	record := groupchat.Record{
		Room: jid.MustParse(cave), Config: groupchat.DefaultConfig(),
		Affiliations: map[string]muc.Affiliation{"crone@shakespeare.example": muc.AffiliationOwner, "toad@x": muc.AffiliationOutcast},
	}
	record.Config.Name, record.Config.Password, record.Config.MaxUsers = `"Cave"`, "cauldron", 7
	t.Run("what was put is there", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, groupchat.Dir(dir).Put(t.Context(), groupchat.Record{Room: record.Room}))
		require.NoError(t, groupchat.Dir(dir).Put(t.Context(), record))
		all, err := groupchat.Dir(dir).All(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []groupchat.Record{record}, all)
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, names, 1, "there is nothing else")
		info, err := names[0].Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, "it has a password in it")
	})
	t.Run("a name may be as long as it may be", func(t *testing.T) {
		d := groupchat.Dir(t.TempDir())
		long := groupchat.Record{Room: jid.MustParse(strings.Repeat("é", 500) + "@" + domain), Affiliations: map[string]muc.Affiliation{}}
		require.NoError(t, d.Put(t.Context(), long))
		all, err := d.All(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []groupchat.Record{long}, all)
	})
	t.Run("what was deleted is not", func(t *testing.T) {
		d := groupchat.Dir(t.TempDir())
		require.NoError(t, d.Put(t.Context(), record))
		require.NoError(t, d.Delete(t.Context(), record.Room))
		require.NoError(t, d.Delete(t.Context(), record.Room), "twice")
		all, err := d.All(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
	})
	t.Run("files of others are none of its own, and half a file is none", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "new-1"), []byte("{"), 0o600))
		all, err := groupchat.Dir(dir).All(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
	})
	for rule, text := range map[string]string{
		"no JSON": "{", "no address": `{"room": "@"}`, "no affiliation": `{"room": "a@b", "affiliations": {"c@d": "king"}}`,
	} {
		t.Run("a file that cannot be understood is an error: "+rule, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte(text), 0o600))
			_, err := groupchat.Open(t.Context(), jid.MustParse(domain), groupchat.Options{Store: new(mucfr.Memory), Records: groupchat.Dir(dir)})
			assert.ErrorContains(t, err, "a.json")
		})
	}
	t.Run("a directory that is not there is an error", func(t *testing.T) {
		d := groupchat.Dir(filepath.Join(t.TempDir(), "none"))
		_, err := d.All(t.Context())
		assert.ErrorIs(t, err, os.ErrNotExist)
		assert.ErrorIs(t, d.Put(t.Context(), record), os.ErrNotExist)
	})
	t.Run("who has no time gets nothing done", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d := groupchat.Dir(t.TempDir())
		assert.ErrorIs(t, d.Put(ctx, record), context.Canceled)
		assert.ErrorIs(t, d.Delete(ctx, record.Room), context.Canceled)
		all, err := d.All(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
	})
}
