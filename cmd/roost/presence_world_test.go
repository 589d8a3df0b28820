package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// launched is a client command in a process of its own.
type launched struct {
	*process

	lines chan string // of its standard output, and of its children's; closed at the end
}

// launch starts a client command.
func launch(t *testing.T, url string, args ...string) *launched {
	t.Helper()
	p, lines := begin(t, []string{"NATS_URL=" + url, "ROOST_TIMEOUT=20s"}, args...)
	l := &launched{process: p, lines: make(chan string, 1024)}
	go func() {
		for lines.Scan() {
			l.lines <- lines.Text()
		}
		close(l.lines)
		p.reap()
	}()
	return l
}

// line returns the next line of its output.
func (l *launched) line(t *testing.T) string {
	t.Helper()
	select {
	case line, open := <-l.lines:
		if !open {
			t.Fatalf("it has ended: %s", l.stderr.String())
		}
		return line
	case <-time.After(patience):
		t.Fatalf("no line after %v: %s", patience, l.stderr.String())
	}
	return ""
}

// pid returns the next line, which is a process id.
func (l *launched) pid(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(l.line(t))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// ends waits for the end and fails unless it is that code.
func (l *launched) ends(t *testing.T, code int) {
	t.Helper()
	if got := l.wait(t); got != code {
		t.Errorf("exit code %d; want %d: %s", got, code, l.stderr.String())
	}
}

// found is what is to be known of a registration.
type found struct {
	Owner    string
	Status   string
	Revision int
}

// find returns what is registered under name, in truth, and whether anything is.
func find(t *testing.T, url, name string) (f found, ok bool) {
	t.Helper()
	code, out, said := roost(t, url, "lookup", name, "--json", "--consistency", "linearizable")
	switch code {
	case exitDone:
		if err := json.Unmarshal([]byte(out), &f); err != nil {
			t.Fatal(err)
		}
		return f, true
	case exitNotFound:
		return f, false
	}
	t.Fatalf("look up %s: %d, %s", name, code, said)
	return f, false
}

// gone fails if something is registered under name.
func gone(t *testing.T, url, name string) {
	t.Helper()
	if f, there := find(t, url, name); there {
		t.Errorf("%s is registered: %+v", name, f)
	}
}

// becomes waits until name has a status.
func becomes(t *testing.T, url, name, status string) {
	t.Helper()
	poll(t, name+" being "+status, func() bool {
		f, there := find(t, url, name)
		return there && f.Status == status
	})
}

// change returns the next status that a watch shows, or how the registration ends, and
// whether changes before it may not have been shown.
func (w *watched) change(t *testing.T) (status string, gap bool) {
	t.Helper()
	for {
		var e struct {
			Event        string
			Registration struct{ Status string }
		}
		line := w.line(t)
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch e.Event {
		case "gap":
			gap = true
		case "expired", "unregistered":
			return e.Event, gap
		default:
			return e.Registration.Status, gap
		}
	}
}

// shows fails unless the next that a watch shows is want, all of it but for what is behind
// a gap.
func (w *watched) shows(t *testing.T, want ...string) {
	t.Helper()
	for i := 0; i < len(want); i++ {
		got, gap := w.change(t)
		for gap && i < len(want)-1 && got != want[i] {
			i++
		}
		if got != want[i] {
			t.Errorf("the watch shows %s; want %s of %v", got, want[i], want)
		}
	}
}

// buried waits until a process has ended and its end was noted.
func buried(t *testing.T, pid int) {
	t.Helper()
	poll(t, "end of the child", func() bool {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// kill ends a process that this one has not started.
func kill(t *testing.T, pid int, s syscall.Signal) time.Time {
	t.Helper()
	at := time.Now()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
	return at
}
