//go:build node

package e2e_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/bustest"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// nodeServices are services of examples/node on a registry of their own.
type nodeServices struct {
	*bustest.Registry
	dir string        // of a copy of the example, with its packages
	ttl time.Duration // of the services' leases
}

// installNodeServices copies the example and has npm install what it needs.
func installNodeServices(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"service.mjs", "package.json", "package-lock.json"} {
		content, err := os.ReadFile(filepath.Join("../examples/node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// nodeService is one that runs.
type nodeService struct {
	name  string
	cmd   *exec.Cmd
	lines chan string // that it prints of events
	said  *errorsBuffer
}

// start runs the instance called name until the test ends, and waits until it is registered.
func (w *nodeServices) start(t *testing.T, name string) *nodeService {
	t.Helper()
	s := w.launch(t, name)
	s.expect(t, "registered "+name)
	return s
}

func (w *nodeServices) launch(t *testing.T, name string) *nodeService {
	t.Helper()
	s := &nodeService{name: name, lines: make(chan string, 256), said: &errorsBuffer{}}
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "node", "service.mjs", "payments", name, "http://127.0.0.1:8080")
	s.cmd.Dir = w.dir
	s.cmd.Env = append(os.Environ(), "NATS_URL="+w.URL(), "ROOST_PREFIX="+w.Prefix(), "TTL_MS="+strconv.FormatInt(w.ttl.Milliseconds(), 10))
	s.cmd.Stderr = s.said
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { s.read(out) })
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		reading.Wait()
		_ = s.cmd.Wait()
		if t.Failed() {
			t.Logf("%s said on standard error:\n%s", name, s.said)
		}
	})
	return s
}

func (s *nodeService) read(out io.Reader) {
	defer close(s.lines)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.lines <- strings.TrimSpace(lines.Text())
	}
}

// next waits for the next line that s prints.
func (s *nodeService) next(t *testing.T) string {
	t.Helper()
	select {
	case line, open := <-s.lines:
		if !open {
			t.Fatalf("%s has ended", s.name)
		}
		return line
	case <-time.After(patience):
		t.Fatalf("%s printed nothing within %v", s.name, patience)
		panic("unreachable")
	}
}

// expect waits until s prints want, and nothing else before.
func (s *nodeService) expect(t *testing.T, want string) {
	t.Helper()
	if got := s.next(t); got != want {
		t.Fatalf("%s printed %q; want %q", s.name, got, want)
	}
}

// comesBack waits until s prints that its lease has ended for reason, and then that it is
// registered again; or the latter alone, if it was faster than the keeper's tidying.
func (s *nodeService) comesBack(t *testing.T, reason string) {
	t.Helper()
	got := s.next(t)
	if got == "registered "+s.name+" replaced" {
		return
	}
	if want := "expired " + s.name + " " + reason; got != want {
		t.Fatalf("%s printed %q; want %q", s.name, got, want)
	}
	s.expect(t, "registered "+s.name)
}

// end sends how to s and waits until it has ended in order, having printed nothing but what
// became of itself.
func (s *nodeService) end(t *testing.T, how os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(how); err != nil {
		t.Fatal(err)
	}
	for line := range s.lines {
		if !strings.Contains(line, s.name) {
			t.Errorf("%s printed %q at its end", s.name, line)
		}
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%s ended with %v", s.name, err)
	}
}

// holder is who holds the instance called name. An event may come before a node's own view
// shows what it tells of, so a local read will not do.
func (w *nodeServices) holder(t *testing.T, name string) string {
	t.Helper()
	found, _, err := w.Client(t).Lookup(t.Context(), paymentsKey(name), client.Read{Consistency: client.Linearizable})
	if err != nil {
		t.Fatal(err)
	}
	return found.Owner
}

// The protocol is all that a service needs: this one is forty lines of JavaScript.
func TestAServiceInNodeIsRegisteredForAsLongAsItLives(t *testing.T) {
	t.Parallel()
	dir := installNodeServices(t)
	world := func(t *testing.T, ttl time.Duration) *nodeServices {
		t.Helper()
		t.Parallel()
		return &nodeServices{Registry: bustest.Start(t), dir: dir, ttl: ttl}
	}

	t.Run("ServicesSeeEachOther", func(t *testing.T) {
		w := world(t, 15*time.Second)
		one := w.start(t, "i-1")
		two := w.start(t, "10.0.0.7:8080")
		one.expect(t, "registered 10.0.0.7:8080")
		two.end(t, syscall.SIGTERM)
		one.expect(t, "expired 10.0.0.7:8080 revoked")
		one.end(t, os.Interrupt)
		page, _, err := w.Client(t).List(t.Context(), client.Query{Read: client.Read{Consistency: client.Linearizable}})
		if err != nil || len(page.Registrations) > 0 {
			t.Errorf("listed %v, %v after all have ended; want nothing", page, err)
		}
	})

	t.Run("OneThatIsKilledIsGoneWithinItsGrace", func(t *testing.T) {
		w := world(t, 15*time.Second)
		one, two := w.start(t, "i-1"), w.start(t, "i-2")
		one.expect(t, "registered i-2")
		if err := one.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		two.expect(t, "expired i-1 closed")
		two.end(t, syscall.SIGTERM)
	})

	t.Run("AnEndedLeaseIsFollowedByAnother", func(t *testing.T) {
		w := world(t, time.Second)
		one := w.start(t, "i-1")
		first := w.holder(t, "i-1")
		w.EndLease(t, first)
		one.comesBack(t, "expired")
		second := w.holder(t, "i-1")
		if _, err := w.Client(t).AdminRevoke(t.Context(), second, "by hand"); err != nil {
			t.Fatal(err)
		}
		one.comesBack(t, "by hand")
		if third := w.holder(t, "i-1"); first == second || second == third {
			t.Errorf("held by %s, %s and %s; want three leases", first, second, third)
		}
		one.end(t, syscall.SIGTERM)
	})

	t.Run("AnOutageChangesNothing", func(t *testing.T) {
		w := world(t, 6*time.Second)
		one := w.start(t, "i-1")
		first := w.holder(t, "i-1")
		w.Stop(t)
		natstest.Await(t, "keepalive that fails", func() bool { return one.said.String() != "" })
		w.Restart(t)
		c := w.Client(t)
		natstest.Await(t, "keepalive after the outage", func() bool {
			l, _, err := c.LeaseGet(t.Context(), first, client.Read{})
			return err == nil && l.Remaining <= w.ttl // a clock starts with more
		})
		two := w.start(t, "i-2")
		one.expect(t, "registered i-2") // and nothing before
		if now := w.holder(t, "i-1"); now != first {
			t.Errorf("held by %s after the outage, by %s before", now, first)
		}
		// The new connection was told, too: its end is noticed.
		if err := one.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		two.expect(t, "expired i-1 closed")
	})

	t.Run("OneThatStopsWhileNATSIsAwayEnds", func(t *testing.T) {
		w := world(t, time.Second)
		one := w.start(t, "i-1")
		w.Stop(t)
		one.end(t, syscall.SIGTERM)
	})

	t.Run("ATakenNameIsWaitedFor", func(t *testing.T) {
		w := world(t, 15*time.Second)
		one, late := w.start(t, "i-1"), w.launch(t, "i-1")
		natstest.Await(t, "refusal", func() bool { return strings.Contains(late.said.String(), "already_exists") })
		first := w.holder(t, "i-1")
		one.end(t, syscall.SIGTERM)
		// It takes the name from the ended lease, or finds it free when that is tidied up.
		c := w.Client(t)
		natstest.Await(t, "other holder", func() bool {
			found, _, err := c.Lookup(t.Context(), paymentsKey("i-1"), client.Read{})
			return err == nil && found.Owner != first
		})
		late.end(t, syscall.SIGTERM)
	})

	t.Run("AnInvalidNameIsTheEnd", func(t *testing.T) {
		w := world(t, 15*time.Second)
		wrong := w.launch(t, "_1")
		for line := range wrong.lines {
			t.Errorf("it printed %q", line)
		}
		if err := wrong.cmd.Wait(); err == nil || !strings.Contains(wrong.said.String(), "invalid: ") {
			t.Errorf("it ended with %v, and said %q", err, wrong.said)
		}
	})
}
