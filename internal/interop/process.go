// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	stopTime = 5 * time.Second
	tailSize = 16 << 10
)

// process is a server that was started in the foreground, in a process group of
// its own, with its output in a file.
type process struct {
	cmd     *exec.Cmd
	logName string
	stdin   io.Closer     // ends with us, however we end
	done    chan struct{} // closed when the process has ended and was reaped
}

// start starts a server.
func start(logName, program string, args ...string) (*process, error) {
	out, err := os.Create(logName)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the server has its own
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = ownGroup()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, logName: logName, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // ProcessState has it
	}()
	return p, nil
}

// stop asks the server to end, and then makes it end. Either way it has ended
// afterwards, unless the error says otherwise. It is an error too if it had
// ended before, or not in peace.
func (p *process) stop() error {
	select {
	case <-p.done:
		return fmt.Errorf("it had ended before: %v", p.cmd.ProcessState)
	default:
	}
	defer p.stdin.Close()
	if err := terminate(p.cmd.Process); err != nil {
		return errors.Join(err, p.kill())
	}
	if !p.wait() {
		return errors.Join(fmt.Errorf("it took more than %v", stopTime), p.kill())
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("it ended with %v", p.cmd.ProcessState)
	}
	return nil
}

// kill ends the server without asking it.
func (p *process) kill() error {
	err := kill(p.cmd.Process)
	if !p.wait() {
		return errors.Join(err, errors.New("it is still there"))
	}
	return nil
}

// wait waits for the end of the server, but not for long.
func (p *process) wait() bool {
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-p.done:
		return true
	case <-late.C:
		return false
	}
}

// log returns what the server has written so far.
func (p *process) log() (string, error) {
	b, err := os.ReadFile(p.logName)
	return string(b), err
}

// tail returns the last lines of the log.
func (p *process) tail() string {
	log, err := p.log()
	if err != nil {
		return err.Error()
	}
	if len(log) > tailSize {
		log = log[len(log)-tailSize:]
		log = log[strings.IndexByte(log, '\n')+1:]
	}
	return log
}
