package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watched is a roost watch in a process of its own.
type watched struct {
	*process

	lines chan string // closed at the end
}

// watch starts roost watch and waits until it has begun.
func watch(t *testing.T, url string, args ...string) *watched {
	t.Helper()
	p, lines := begin(t, []string{"NATS_URL=" + url, "ROOST_TIMEOUT=20s"}, append([]string{"watch"}, args...)...)
	w := &watched{process: p, lines: make(chan string, 4096)}
	go func() {
		for lines.Scan() {
			w.lines <- lines.Text()
		}
		close(w.lines)
		p.reap()
	}()
	w.says(t, "roost: watching ")
	return w
}

// says waits until the process has said text on standard error.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	poll(t, text, func() bool { return strings.Contains(p.stderr.String(), text) })
}

// poll waits for what nothing announces.
func poll(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q after %v", what, patience)
		}
	}
}

// line returns the next line.
func (w *watched) line(t *testing.T) string {
	t.Helper()
	select {
	case line, open := <-w.lines:
		if !open {
			t.Fatalf("the watch has ended: %s", w.stderr.String())
		}
		return line
	case <-time.After(patience):
		t.Fatalf("no line after %v: %s", patience, w.stderr.String())
	}
	return ""
}

// event is a line of JSON.
type event struct {
	Event        string
	Reason       string
	Revision     int
	Registration *struct {
		Service, Instance string
		Revision          int
	}
}

func (w *watched) event(t *testing.T) (e event) {
	t.Helper()
	line := w.line(t)
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return e
}

// again starts a registry where one was that has ended.
func again(t *testing.T, url string, args ...string) *process {
	t.Helper()
	return serve(t, append([]string{"--listen", strings.TrimPrefix(url, "nats://")}, args...)...)
}

// unread starts roost watch and closes the only end that its output could be read from.
func unread(t *testing.T, url string) *process {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe, "watch"), exited: make(chan struct{})}
	p.cmd.Env = []string{asRoost + "=1", "HOME=" + t.TempDir(), "NATS_URL=" + url}
	p.cmd.Stdout, p.cmd.Stderr = writer, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.reap()
	t.Cleanup(func() {
		p.signal(t, syscall.SIGKILL)
		<-p.exited
	})
	p.says(t, "roost: watching ")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}
