package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// process is a roost in a process of its own.
type process struct {
	cmd    *exec.Cmd
	url    string // that it said it is ready at
	stderr lockedBuffer
	exited chan struct{}
	ready  chan string // of a member: the first line that it printed
}

// lockedBuffer is written by a process and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// begin starts roost with args. env is added to an environment without settings.
func begin(t *testing.T, env []string, args ...string) (*process, *bufio.Scanner) {
	t.Helper()
	return beginAs(t, "", env, args...)
}

// beginAs is begin of the program exe; "" is this one.
func beginAs(t *testing.T, exe string, env []string, args ...string) (*process, *bufio.Scanner) {
	t.Helper()
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	p := &process{cmd: exec.Command(exe, args...), exited: make(chan struct{})}
	p.cmd.Env = append([]string{asRoost + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.signal(t, syscall.SIGKILL)
		p.signal(t, syscall.SIGCONT)
		<-p.exited
		if t.Failed() {
			t.Logf("roost %v said:\n%s", args, p.stderr.String())
		}
	})
	return p, bufio.NewScanner(stdout)
}

// reap waits for the process in the background; lines must be read first, or never.
func (p *process) reap() {
	_ = p.cmd.Wait() // the state says how it ended
	close(p.exited)
}

// serve starts a registry on a free port and waits until it is ready.
func serve(t *testing.T, args ...string) *process {
	t.Helper()
	p, lines := begin(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	ready := make(chan string, 1)
	go func() {
		if lines.Scan() {
			ready <- lines.Text()
		}
		close(ready)
		p.reap()
	}()
	select {
	case line := <-ready:
		url, ok := strings.CutPrefix(line, "ready ")
		if !ok {
			t.Fatalf("roost serve %v printed %q; want ready and a URL\n%s", args, line, p.stderr.String())
		}
		p.url = url
	case <-time.After(patience):
		t.Fatalf("roost serve %v is not ready\n%s", args, p.stderr.String())
	}
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	select {
	case <-p.exited:
	default:
		_ = p.cmd.Process.Signal(s) // it may have just ended
	}
}

// wait returns the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("roost did not end\n%s", p.stderr.String())
		return -1
	}
}

// terminate asks the process to stop and returns its exit code.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.wait(t)
}

// fails runs a roost that must end by itself, and returns its exit code and what it said,
// without its log.
func fails(t *testing.T, env []string, args ...string) (code int, said string) {
	t.Helper()
	p, lines := begin(t, env, args...)
	go func() {
		for lines.Scan() {
		}
		p.reap()
	}()
	code = p.wait(t)
	for line := range strings.Lines(p.stderr.String()) {
		if strings.HasPrefix(line, "roost: ") {
			said += line
		}
	}
	return code, strings.TrimRight(said, "\n")
}

// roost runs a client command in this process.
func roost(t *testing.T, url string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code = run(ctx, program{
		args: args, stdout: &out, stderr: &said, version: "1.2.3",
		environ: []string{"NATS_URL=" + url, "HOME=" + t.TempDir(), "ROOST_TIMEOUT=20s"},
	})
	return code, out.String(), said.String()
}

// must runs a client command that succeeds and returns what it printed.
func must(t *testing.T, url string, args ...string) string {
	t.Helper()
	code, stdout, stderr := roost(t, url, args...)
	if code != 0 {
		t.Fatalf("roost %v = %d; want 0: %s", args, code, stderr)
	}
	return stdout
}
