package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// process is this program once more.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr strings.Builder
	exited chan struct{}
}

// startTimeout bounds the start of a process, which reads a million registrations in some
// 20 s on a quiet machine.
const startTimeout = 3 * time.Minute

// start starts this program with args, and returns the rest of the line that it says when
// it is ready.
func (p Program) start(ctx context.Context, args ...string) (*process, string, error) {
	s := &process{
		cmd:    exec.Command(p.Path, args...), //nolint:noctx,gosec // it is this program, and stopped by stop
		exited: make(chan struct{}),
	}
	s.cmd.Env, s.cmd.Stderr = p.Environ, &s.stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, "", err
	}
	said := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		lines.Scan()
		said <- lines.Text()
		_, _ = io.Copy(io.Discard, stdout)
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	select {
	case line := <-said:
		if rest, ok := strings.CutPrefix(line, ready); ok {
			return s, strings.TrimSpace(rest), nil
		}
		err = fmt.Errorf("it said %q", line)
	case <-time.After(startTimeout):
		err = fmt.Errorf("it is not ready after %v", startTimeout)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	err = errors.Join(err, s.stop())
	return nil, "", fmt.Errorf("start %s: %w\n%s", strings.Join(args, " "), err, s.stderr.String())
}

// ready begins the line that a process says when it is.
const ready = "ready"

// stopTimeout bounds a stop; what takes longer is killed.
const stopTimeout = time.Minute

// stop ends the process and waits until it has.
func (s *process) stop() error {
	_ = s.stdin.Close() // tells the responder, and is nothing to the registry
	interrupt(s.cmd.Process)
	select {
	case <-s.exited: // how does not matter: what went wrong before, requests have shown
		return nil
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("%s: killed, for it did not stop within %v", strings.Join(s.cmd.Args[1:], " "), stopTimeout)
	}
}
