// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"encoding/xml"
)

// maxTasks bounds how many tasks a client does for one login.
const maxTasks = 8

// Task is something that a client has to do, on a server, after it has proven
// who it is and before it is let in, such as to show a second factor or to set a
// new password (XEP-0388, section 2.6.3). It is used for one login.
type Task struct {
	// Name is the name of the task.
	Name string

	// Step is called with what is in the client's next element, and then with what
	// is in each task-data element.
	// The reply goes into a task-data element, or if the task is done, into success.
	// If err is not nil the login has failed; a [Failure] chooses the condition.
	Step func(ctx context.Context, data xml.TokenReader) (reply xml.TokenReader, done bool, err error)
}

// ClientTask is something that a client can do if the server asks for it before
// it lets the client in (XEP-0388, section 2.6.3).
type ClientTask struct {
	// Name is the name of the task.
	Name string

	// Begin starts it for one login.
	// Data goes into the next element. Step, which may be nil, is called with what
	// is in each of the server's task-data elements, and what it returns goes into
	// one of the client's.
	// An error aborts the login.
	Begin func(ctx context.Context) (data xml.TokenReader, step func(data xml.TokenReader) (xml.TokenReader, error), err error)
}
