package child

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// Command says what to run. Input and output are those of this process.
type Command struct {
	Args []string // the program and its arguments
	Env  []string // KEY=VALUE, added to the environment of this process
	// Grace is how long a child that is told to stop may take before it is killed.
	Grace time.Duration
}

// Process is a child.
type Process struct {
	command Command
	cmd     *exec.Cmd
	group   bool // it has a process group of its own
	done    chan struct{}
	exit    Exit // once done is closed
}

// Exit says how a child ended.
type Exit struct {
	Code   int            // as a shell would say it: 128 and the signal, if one killed it
	Signal syscall.Signal // that killed it; 0 if none did
	Err    error          // why its end could not be observed
}

// OK reports whether the child succeeded.
func (e Exit) OK() bool { return e.Code == 0 && e.Err == nil }

func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return "signal: " + e.Signal.String()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// The exit codes of a command that could not be started, as shells have them.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
)

// StartError means that the command could not be started.
type StartError struct {
	Program string
	Code    int // 126 or 127
	Err     error
}

func (e *StartError) Error() string { return fmt.Sprintf("start %s: %v", e.Program, e.Err) }

// Unwrap returns why.
func (e *StartError) Unwrap() error { return e.Err }

func startError(program string, err error) error {
	code := codeNotExecutable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = codeNotFound
	}
	if inner, ok := errors.AsType[*exec.Error](err); ok {
		err = inner.Err
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return &StartError{Program: program, Code: code, Err: err}
}

func start(r *Runner, c Command) (*Process, error) {
	p := &Process{command: c, cmd: exec.Command(c.Args[0], c.Args[1:]...), done: make(chan struct{})} //nolint:gosec,noctx // running a command is the task
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	p.cmd.Env = append(slices.Clone(os.Environ()), c.Env...)
	p.group = !isTerminal(os.Stdin)
	p.cmd.SysProcAttr = attributes(p.group)
	started := make(chan error)
	go func() {
		// The signal at this process's death is bound to the thread that starts the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.begin(p.cmd)
		started <- err
		if err == nil {
			p.exit = exitOf(p.cmd, r.wait(p.cmd))
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, startError(c.Args[0], err)
	}
	return p, nil
}

func exitOf(cmd *exec.Cmd, err error) Exit {
	if cmd.ProcessState == nil {
		return Exit{Code: 1, Err: err}
	}
	if signal, killed := killedBy(cmd.ProcessState); killed {
		return Exit{Code: 128 + int(signal), Signal: signal}
	}
	return Exit{Code: cmd.ProcessState.ExitCode()}
}

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit waits for the child to end and says how it did.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Signal passes s, which this process got, on to the child and what it has started. A
// signal that a terminal has sent them already is not sent again.
func (p *Process) Signal(s os.Signal) {
	if !p.group && fromTerminal(s) {
		return
	}
	p.send(s)
}

// Stop has the child end: SIGTERM, and SIGKILL after the grace, or at once when ctx is done.
// It returns when the child has ended.
func (p *Process) Stop(ctx context.Context) Exit {
	select {
	case <-p.done:
		return p.exit
	default:
	}
	p.send(terminate)
	timer := time.NewTimer(p.command.Grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	p.send(os.Kill) // what the child has left running, too
	return p.Exit()
}
