// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// drivers holds the programs that make clients log in, except for those in Go.
//
// A driver reads a [driverInput] from the standard input and writes a
// [LoginResult] for each login to the standard output, both in JSON. Its exit
// status is 0 if all is well and 1 if a login has failed, which is the last one
// then. What is sent and received goes to the standard error.
//
//go:embed clients/xmppjs.mjs clients/slixmpp.py
var drivers embed.FS

// driverInput is what a driver is told. The fields are those of [ClientLogin].
type driverInput struct {
	JID         string         `json:"jid"`
	Password    string         `json:"password"`
	Addr        string         `json:"addr"`
	DirectTLS   bool           `json:"directTLS"`
	CA          string         `json:"ca"` // name of a PEM file
	Mechanism   string         `json:"mechanism"`
	UserAgentID string         `json:"userAgentID"`
	Times       int            `json:"times"`
	Queries     []ArchiveQuery `json:"queries"`
}

// driverLogin returns a function that runs launcher, which the variable env has
// named, with a driver as its argument unless that is empty.
func driverLogin(env, launcher, driver string) loginFunc {
	return func(ctx context.Context, l ClientLogin) (results []LoginResult, trace string, err error) {
		dir, err := os.MkdirTemp("", "interop")
		if err != nil {
			return nil, "", err
		}
		defer os.RemoveAll(dir)
		input := driverInput{
			JID: l.JID, Password: l.Password, Addr: l.Addr, DirectTLS: l.DirectTLS,
			CA: filepath.Join(dir, "ca.pem"), Mechanism: l.Mechanism, UserAgentID: l.UserAgentID, Times: l.Times,
			Queries: l.Queries,
		}
		if err := os.WriteFile(input.CA, l.RootsPEM, 0o600); err != nil {
			return nil, "", err
		}
		var args []string
		if driver != "" {
			program, err := drivers.ReadFile(driver)
			if err != nil {
				return nil, "", err
			}
			args = []string{filepath.Join(dir, filepath.Base(driver))}
			if err := os.WriteFile(args[0], program, 0o600); err != nil {
				return nil, "", err
			}
		}
		results, trace, err = runDriver(ctx, exec.CommandContext(ctx, launcher, args...), input)
		if err != nil {
			err = fmt.Errorf("with %s=%s: %w", env, launcher, err)
		}
		return results, trace, err
	}
}

// runDriver runs the command and checks that it is a driver.
func runDriver(ctx context.Context, cmd *exec.Cmd, input driverInput) (results []LoginResult, trace string, err error) {
	stdin, err := json.Marshal(input)
	if err != nil {
		return nil, "", err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+input.CA) // Node.js reads it before the driver runs
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return kill(cmd.Process) }
	cmd.WaitDelay = stopTime
	err = cmd.Run()
	trace = stderr.String()
	if ctx.Err() != nil {
		return nil, trace, ctx.Err()
	}
	if cmd.ProcessState == nil {
		return nil, trace, err // it did not even start
	}
	results, err = readResults(&stdout)
	if err != nil {
		return nil, trace, err
	}
	status := cmd.ProcessState.ExitCode()
	switch n := len(results); {
	case status == 0 && n == input.Times && results[n-1].Error == "":
	case status == 1 && 0 < n && n <= input.Times && results[n-1].Error != "":
	default:
		return nil, trace, fmt.Errorf("%d of %d results and %v", n, input.Times, cmd.ProcessState)
	}
	for _, r := range results {
		if r.Error == "" && len(r.Archive) != len(input.Queries) {
			return nil, trace, fmt.Errorf("%d of %d queries were answered", len(r.Archive), len(input.Queries))
		}
	}
	return results, trace, nil
}

// readResults reads what a driver wrote.
func readResults(r io.Reader) (results []LoginResult, err error) {
	d := json.NewDecoder(r)
	for {
		var result LoginResult
		switch err := d.Decode(&result); {
		case errors.Is(err, io.EOF):
			return results, nil
		case err != nil:
			return nil, err
		}
		results = append(results, result)
	}
}
