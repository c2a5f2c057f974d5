// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// storedVersion changes with the meaning of what is stored.
const storedVersion = 1

// How parts of a room are stored.
type (
	storedRoom struct {
		Version int           `json:"version"`
		Session string        `json:"session"`
		Runs    []storedRun   `json:"runs"`
		Head    uint64        `json:"head"`
		Gone    uint64        `json:"gone"`
		Said    uint64        `json:"said"`
		Lost    uint64        `json:"lost"`
		Clean   bool          `json:"clean"`
		Config  Config        `json:"config"`
		Subject storedMessage `json:"subject"`
	}
	storedRun struct {
		Key []byte `json:"key"`
		End uint64 `json:"end"`
	}
	storedMessage struct {
		Nick    string    `json:"nick"`
		ID      string    `json:"id"`
		Payload string    `json:"payload"`
		Number  uint64    `json:"number"`
		Time    time.Time `json:"time"`
	}
	storedOccupant struct {
		Nick        string         `json:"nick"`
		Affiliation string         `json:"affiliation"`
		Role        string         `json:"role"`
		Payload     string         `json:"payload"`
		Joined      uint64         `json:"joined"`
		Named       uint64         `json:"named"`
		Changed     uint64         `json:"changed"`
		Clients     []storedClient `json:"clients"`
	}
	storedClient struct {
		JID      string `json:"jid"`
		Annotate bool   `json:"annotate"`
	}
	storedDeparture struct {
		Nick        string    `json:"nick"`
		JID         string    `json:"jid"`
		Affiliation string    `json:"affiliation"`
		Joined      uint64    `json:"joined"`
		Named       uint64    `json:"named"`
		Number      uint64    `json:"number"`
		Renamed     bool      `json:"renamed"`
		Codes       []int     `json:"codes"`
		Time        time.Time `json:"time"`
	}
	storedVisit struct {
		Account string    `json:"account"`
		Last    uint64    `json:"last"`
		Real    bool      `json:"real"`
		Since   uint64    `json:"since"`
		Time    time.Time `json:"time"`
	}
)

// encoded returns v as JSON, which all that is stored can be.
func encoded(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

func (r *Room) encode() []byte {
	s := storedRoom{
		Version: storedVersion, Session: r.session, Head: r.head,
		Gone: r.gone.floor, Said: r.history.floor, Lost: r.history.lost, Clean: r.saver.clean, Config: r.opts.Config,
		Subject: storedMessage{r.subject.nick, r.subject.id, r.subject.payload.xml, 0, r.subject.time},
	}
	for _, one := range r.runs {
		s.Runs = append(s.Runs, storedRun{one.key, one.end})
	}
	return encoded(s)
}

func (o *occupant) encode() []byte {
	s := storedOccupant{
		Nick: o.nick, Affiliation: o.affiliation.String(), Role: o.role.String(), Payload: o.payload.xml,
		Joined: o.joined, Named: o.named, Changed: o.changed,
	}
	for _, c := range o.clients {
		s.Clients = append(s.Clients, storedClient{c.jid.String(), c.annotate})
	}
	return encoded(s)
}

func (d departure) encode() []byte {
	return encoded(storedDeparture{
		d.nick, d.jid.String(), d.affiliation.String(), d.joined, d.named, d.number, d.renamed, d.codes, d.time,
	})
}

func (v *visit) encode() []byte {
	return encoded(storedVisit{v.bare.String(), v.last, v.real, v.since, v.time})
}

func (m message) encode() []byte {
	return encoded(storedMessage{m.nick, m.id, m.payload.xml, m.number, m.time})
}

// restore makes an empty room the one that was stored.
func (r *Room) restore(entries []Entry) error {
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	i, found := slices.BinarySearchFunc(entries, keyRoom, func(e Entry, key string) int { return strings.Compare(e.Key, key) })
	if !found {
		return errors.New("there is no room among the entries")
	}
	var s storedRoom
	if err := json.Unmarshal(entries[i].Value, &s); err != nil {
		return err
	}
	if err := r.restoreRoom(s); err != nil {
		return err
	}
	var occupants []*occupant
	for _, e := range slices.Delete(entries, i, i+1) {
		var (
			key string
			err error
		)
		switch kind, _, _ := strings.Cut(e.Key, "/"); kind + "/" {
		case keyOccupant:
			var o *occupant
			if o, err = r.restoreOccupant(e.Value); err == nil {
				key, occupants = keyOccupant+o.nick, append(occupants, o)
			}
		case keyDeparture:
			key, err = r.restoreDeparture(e.Value)
		case keyVisit:
			key, err = r.restoreVisit(e.Value)
		case keyMessage:
			key, err = r.restoreMessage(e.Value)
		}
		if err == nil && key != e.Key {
			err = errors.New("it is another one's")
		}
		if err != nil {
			return fmt.Errorf("entry %q: %w", e.Key, err)
		}
	}
	if err := r.settle(occupants); err != nil {
		return err
	}
	// This is another run: what was not stored of the last one is as if it had not been.
	r.begun()
	if !s.Clean {
		r.head++
		r.history.lost = r.head
	}
	r.forgetOld(time.Now())
	return nil
}

func (r *Room) restoreRoom(s storedRoom) (err error) {
	switch {
	case s.Version != storedVersion:
		return fmt.Errorf("version %d is not known", s.Version)
	case s.Session == "" || strings.ContainsAny(s.Session, `<>&"'`) || !plain(s.Session):
		return errors.New("no session")
	case len(s.Runs) == 0 || len(s.Runs) > maxRuns:
		return errors.New("no runs")
	case s.Gone > s.Head, s.Said > s.Head, s.Lost > s.Head:
		return errors.New("events are missing")
	}
	r.runs = nil
	for _, one := range s.Runs {
		restored, ok := newRun(one.Key)
		if restored.end = one.End; !ok || one.End > s.Head {
			return errors.New("no key")
		}
		r.runs = append(r.runs, restored)
	}
	r.session, r.head = s.Session, s.Head
	r.gone.floor, r.history.floor, r.history.lost, r.opts.Config = s.Gone, s.Said, s.Lost, s.Config
	r.subject = subject{nick: s.Subject.Nick, id: s.Subject.ID, time: s.Subject.Time}
	if s.Subject.Nick != "" {
		if _, err := r.place(s.Subject.Nick); err != nil {
			return err
		}
	}
	r.subject.payload, err = stored(s.Subject.Payload)
	return err
}

func (r *Room) restoreOccupant(b []byte) (*occupant, error) {
	var s storedOccupant
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	o := &occupant{nick: s.Nick, joined: s.Joined, named: s.Named, changed: s.Changed}
	var err error
	if o.affiliation, err = affiliationOf(s.Affiliation); err != nil {
		return nil, err
	}
	if o.role, err = roleOf(s.Role); err != nil {
		return nil, err
	}
	if o.payload, err = stored(s.Payload); err != nil {
		return nil, err
	}
	if len(s.Clients) == 0 || o.role == muc.RoleNone || o.changed > r.head || o.joined > o.named || o.named > o.changed {
		return nil, errors.New("it is nobody inside")
	}
	if _, err := r.place(o.nick); err != nil {
		return nil, err
	}
	for _, c := range s.Clients {
		full, err := jid.Parse(c.JID)
		switch {
		case err != nil:
			return nil, err
		case r.inside[full.String()] != nil || len(o.clients) > 0 && !full.Bare().Equal(o.bare):
			return nil, errors.New("it is somebody else")
		}
		o.bare = full.Bare()
		r.enter(o, full).annotate = c.Annotate
	}
	return o, nil
}

func (r *Room) restoreDeparture(b []byte) (key string, err error) {
	var s storedDeparture
	if err := json.Unmarshal(b, &s); err != nil {
		return "", err
	}
	d := departure{
		nick: s.Nick, joined: s.Joined, named: s.Named, number: s.Number, renamed: s.Renamed, codes: s.Codes, time: s.Time,
	}
	if d.affiliation, err = affiliationOf(s.Affiliation); err != nil {
		return "", err
	}
	if d.jid, err = jid.Parse(s.JID); err != nil {
		return "", err
	}
	if d.number <= r.gone.floor || d.number > r.head || d.named > d.number {
		return "", errors.New("it is of no event")
	}
	r.gone.all = append(r.gone.all, d)
	_, err = r.place(d.nick)
	return keyDeparture + numbered(d.number), err
}

func (r *Room) restoreVisit(b []byte) (key string, err error) {
	var s storedVisit
	if err := json.Unmarshal(b, &s); err != nil {
		return "", err
	}
	bare, err := jid.Parse(s.Account)
	if err != nil {
		return "", err
	}
	if s.Last > r.head || s.Since > r.head+1 { // It may begin with the next event.
		return "", errors.New("it is of no event")
	}
	if r.visits.all == nil {
		r.visits.all = make(map[string]*visit)
	}
	bare = bare.Bare()
	r.visits.all[bare.String()] = &visit{bare: bare, last: s.Last, real: s.Real, since: s.Since, time: s.Time}
	return keyVisit + bare.String(), nil
}

func (r *Room) restoreMessage(b []byte) (key string, err error) {
	var s storedMessage
	if err := json.Unmarshal(b, &s); err != nil {
		return "", err
	}
	p, err := stored(s.Payload)
	if err != nil {
		return "", err
	}
	if s.Number <= r.history.floor || s.Number > r.head {
		return "", errors.New("it is of no event")
	}
	if s.Nick != "" {
		if _, err := r.place(s.Nick); err != nil {
			return "", err
		}
	}
	m := message{s.Nick, s.ID, p, s.Number, s.Time}
	r.history.all, r.history.bytes = append(r.history.all, m), r.history.bytes+m.size()
	return keyMessage + numbered(m.number), nil
}

// settle puts everything in its order.
func (r *Room) settle(occupants []*occupant) error {
	slices.SortFunc(occupants, func(a, b *occupant) int { return cmp.Compare(a.changed, b.changed) })
	slices.SortFunc(r.gone.all, func(a, b departure) int { return cmp.Compare(a.number, b.number) })
	slices.SortFunc(r.history.all, func(a, b message) int { return cmp.Compare(a.number, b.number) })
	for _, o := range occupants {
		if r.occupant[o.nick] != nil || r.byJoined[o.joined] != nil {
			return fmt.Errorf("%q is there twice", o.nick)
		}
		r.add(o)
		for range o.clients {
			r.visits.enter(o.bare, r.real(o.role), r.head)
		}
	}
	var closed []*visit
	for _, v := range r.visits.all {
		if !v.inside() {
			closed = append(closed, v)
		}
	}
	slices.SortFunc(closed, func(a, b *visit) int { return cmp.Compare(a.last, b.last) })
	for _, v := range closed {
		v.elem = r.visits.closed.PushBack(v)
	}
	clear(r.saver.dirty)
	return nil
}

// stored reads a payload again, as what is stored may have been changed.
func stored(s string) (Payload, error) {
	return ReadPayload(xml.NewDecoder(strings.NewReader(s)))
}

func affiliationOf(s string) (a muc.Affiliation, err error) {
	err = a.UnmarshalXMLAttr(xml.Attr{Value: s})
	return a, err
}

func roleOf(s string) (r muc.Role, err error) {
	err = r.UnmarshalXMLAttr(xml.Attr{Value: s})
	return r, err
}
