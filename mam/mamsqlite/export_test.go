// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

// Statements returns all statements that read, by what they are for.
func Statements() map[string]string {
	all := map[string]string{
		"ends": endSQL, "item": itemSQL, "start": startSQL, "end": stopSQL, "unsorted": unsortedSQL, "find": findSQL,
		"oldest": oldestSQL, "left": leftSQL, "late": lateSQL, "highest": highestSQL,
		"by id": byIDSQL, "by stanza": byStanzaSQL, "between": betweenSQL, "unread": unreadSQL,
		"overtake": overtakeSQL, "place": placeSQL, "contact": contactSQL, "read": readSQL, "preferences": preferencesSQL,
	}
	for with, f := range map[string]filter{"plain": {}, "bare": {contact: 1}, "full": {contact: 1, resource: "r"}} {
		for _, timed := range []bool{false, true} {
			for _, direct := range []bool{false, true} {
				f.timed, f.direct = timed, direct
				name := with
				if timed {
					name += " timed"
				}
				if direct {
					name += " direct"
				}
				all[name+" page"], all[name+" page flipped"] = sendSQL(f, false), sendSQL(f, true)
				all[name+" look"], all[name+" look backwards"] = lookSQL(f, false), lookSQL(f, true)
				all[name+" walk"] = walkSQL(f)
			}
		}
	}
	return all
}

// Waiting returns how many jobs nobody has taken up yet.
func (a *Archive) Waiting() int { return len(a.jobs) }
