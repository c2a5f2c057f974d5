// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Command rooms visits a chat room with xmppo/go-xmpp, as ../../../rooms_test.go
// describes.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/xmppo/go-xmpp"
)

type want struct {
	JID      string `json:"jid"`
	Password string `json:"password"`
	Addr     string `json:"addr"`
	CA       string `json:"ca"`
	Room     string `json:"room"`
	Nick     string `json:"nick"`
	NewNick  string `json:"newNick"`
	Peer     string `json:"peer"`
}

type result struct {
	Occupants []string `json:"occupants"`
	Subject   string   `json:"subject"`
	Heard     []string `json:"heard"`
	Nick      string   `json:"nick"`
	Pinged    bool     `json:"pinged"`
	Left      bool     `json:"left"`
	Error     string   `json:"error"`
}

func main() {
	var w want
	var r result
	err := json.NewDecoder(os.Stdin).Decode(&w)
	if err == nil {
		err = visit(w, &r)
	}
	if err != nil {
		r.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		os.Exit(2)
	}
}

func visit(w want, r *result) error {
	pem, err := os.ReadFile(w.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("no certificate in %s", w.CA)
	}
	_, domain, _ := strings.Cut(w.JID, "@")
	client, err := xmpp.Options{
		Host: w.Addr, User: w.JID, Password: w.Password, DialTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: domain}, NoTLS: true, StartTLS: true, SSDP: true,
	}.NewClient()
	if err != nil {
		return err
	}
	late := time.AfterFunc(20*time.Second, func() { _ = client.Close() })
	defer late.Stop()
	return errors.Join(stay(client, w, r), client.Close())
}

// stay is what it does in the room.
func stay(client *xmpp.Client, w want, r *result) error {
	var occupants []string
	subject := func(s any) bool {
		if p, ok := s.(xmpp.Presence); ok && p.Type == "" {
			if nick, ok := strings.CutPrefix(p.From, w.Room+"/"); ok {
				occupants = append(occupants, nick)
			}
		}
		// It does not tell an empty subject from none.
		c, ok := s.(xmpp.Chat)
		if r.Subject = c.Subject; ok && c.Type == "groupchat" {
			return c.Subject != ""
		}
		return false
	}
	if _, err := client.JoinMUCNoHistory(w.Room, w.Nick); err != nil {
		return err
	}
	if err := until(client, subject); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	slices.Sort(occupants)
	r.Occupants = occupants

	if _, err := client.Send(xmpp.Chat{Remote: w.Room, Type: "groupchat", Text: "hello from " + w.Nick}); err != nil {
		return err
	}
	if err := until(client, func(s any) bool {
		c, ok := s.(xmpp.Chat)
		if ok && c.Type == "groupchat" {
			r.Heard = append(r.Heard, strings.TrimPrefix(c.Remote, w.Room+"/")+": "+c.Text)
		}
		return ok && c.Text == "welcome "+w.Nick
	}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}

	if _, err := client.Send(xmpp.Chat{Remote: w.Room + "/" + w.Peer, Type: "chat", Text: "psst"}); err != nil {
		return err
	}
	if err := until(client, func(s any) bool {
		c, ok := s.(xmpp.Chat)
		if ok = ok && c.Type == "chat"; ok {
			r.Heard = append(r.Heard, "psst: "+c.Text)
		}
		return ok
	}); err != nil {
		return fmt.Errorf("private message: %w", err)
	}

	id, err := client.RawInformation(client.JID(), w.Room+"/"+w.Nick, "ping1", "get", "<ping xmlns='urn:xmpp:ping'/>")
	if err != nil {
		return err
	}
	if err := until(client, func(s any) bool {
		iq, ok := s.(xmpp.IQ)
		r.Pinged = ok && iq.ID == id && iq.Type == "result"
		return ok && iq.ID == id
	}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}

	if _, err := client.SendPresence(xmpp.Presence{To: w.Room + "/" + w.NewNick}); err != nil {
		return err
	}
	if err := until(client, func(s any) bool {
		p, ok := s.(xmpp.Presence)
		return ok && p.From == w.Room+"/"+w.NewNick && p.Type == ""
	}); err != nil {
		return fmt.Errorf("nickname: %w", err)
	}
	r.Nick = w.NewNick

	if _, err := client.LeaveMUC(w.Room + "/" + w.NewNick); err != nil {
		return err
	}
	err = until(client, func(s any) bool {
		p, ok := s.(xmpp.Presence)
		return ok && p.From == w.Room+"/"+w.NewNick && p.Type == "unavailable"
	})
	r.Left = err == nil
	return err
}

// until receives until something was received.
func until(client *xmpp.Client, matches func(any) bool) error {
	for {
		s, err := client.Recv()
		if err != nil {
			return err
		}
		if matches(s) {
			return nil
		}
	}
}
