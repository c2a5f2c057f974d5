// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

// Children returns where the children of the root of an XML stream end, as the
// scanner sees them, and whether the root has ended.
func Children(doc []byte) (ends []int, ended bool, err error) {
	var s scanner
	for i, b := range doc {
		ev, err := s.step(b)
		switch {
		case err != nil:
			return ends, false, err
		case ev == evElement:
			ends = append(ends, i+1)
		case ev == evEnd || ev == evWhole:
			return ends, true, nil
		}
	}
	return ends, false, nil
}
