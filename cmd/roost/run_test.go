//go:build unix

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// forever is a command that tells its process id and ends when it is told to.
const forever = `echo $$; exec sleep 600`

// running starts roost run payments/i-1 with a script, and waits until it is up.
func running(t *testing.T, url, script string, flags ...string) *launched {
	t.Helper()
	args := append([]string{"run", "payments/i-1", "--grace", "1s"}, flags...)
	p := launch(t, url, append(args, "--", "sh", "-c", script)...)
	becomes(t, url, "payments/i-1", "up")
	return p
}

func TestAProgramIsRegisteredBeforeItStartsAndUpWhenItRuns(t *testing.T) {
	t.Parallel()
	node := serve(t)
	w := watch(t, node.url, "payments", "--json")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The program looks itself up, as its first deed.
	p := launch(t, node.url, "run", "payments/i-1", "--endpoint", "http=http://127.0.0.1:8080", "--", exe, "lookup", "payments/i-1", "--json")
	if line := p.line(t); !strings.Contains(line, `"instance":"i-1"`) || !strings.Contains(line, "http://127.0.0.1:8080") {
		t.Errorf("the program has found %s; want itself", line)
	}
	p.ends(t, exitDone)
	gone(t, node.url, "payments/i-1")
	first, _ := w.change(t)
	last := first
	for last != "expired" {
		last, _ = w.change(t)
	}
	if first != "down" {
		t.Errorf("at first it was %s; want down", first)
	}
}

func TestAProgramThatRunsIsUpAndItsExitCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	node := serve(t)
	for end, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 137} {
		w := watch(t, node.url, "payments", "--json")
		on := filepath.Join(t.TempDir(), "on")
		p := running(t, node.url, `until [ -e `+on+` ]; do sleep 0.02; done; `+end, "--max-restarts", "0")
		if err := os.WriteFile(on, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p.ends(t, code)
		gone(t, node.url, "payments/i-1")
		w.shows(t, "down", "up", "expired")
	}
}

func TestAProgramThatFailsIsStartedAgainButNotForEver(t *testing.T) {
	t.Parallel()
	node := serve(t)
	w := watch(t, node.url, "payments", "--json")
	begin := time.Now()
	p := launch(t, node.url, "run", "payments/i-1", "--max-restarts", "3", "--within", "1h", "--", "sh", "-c", "echo started; exit 3")
	p.ends(t, 3)
	if took := time.Since(begin); took < 700*time.Millisecond {
		t.Errorf("three restarts took %v; want 0.1 s, 0.2 s and 0.4 s of pause at least", took)
	}
	started := 0
	for range p.lines {
		started++
	}
	if started != 4 {
		t.Errorf("the program was started %d times; want once and three times more", started)
	}
	for _, said := range []string{"sh: exit code 3; starting it again in 100ms", "starting it again in 400ms", "failed more than 3 times within 1h0m0s"} {
		if !strings.Contains(p.stderr.String(), said) {
			t.Errorf("it said %q; want %q in it", p.stderr.String(), said)
		}
	}
	gone(t, node.url, "payments/i-1")
	if first, _ := w.change(t); first != "down" {
		t.Errorf("at first it was %s; want down", first)
	}
}

func TestTheLimitOfRestartsIsWithinATime(t *testing.T) {
	t.Parallel()
	node := serve(t)
	// Each failure is forgotten when the next one comes.
	p := launch(t, node.url, "run", "payments/i-1", "--max-restarts", "1", "--within", "10ms", "--", "sh", "-c", "echo started; exit 3")
	for range 4 {
		p.line(t)
	}
	p.signal(t, syscall.SIGTERM)
	p.wait(t)
	gone(t, node.url, "payments/i-1")
}

func TestTheStatusFollowsWhatTheProgramSaysOverHTTP(t *testing.T) {
	t.Parallel()
	node := serve(t)
	var ill atomic.Bool
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(program.Close)
	w := watch(t, node.url, "payments", "--json")
	p := running(t, node.url, forever, "--health-http", program.URL, "--health-interval", "100ms")
	ill.Store(true)
	becomes(t, node.url, "payments/i-1", "down")
	p.says(t, "sh is not well: ask "+program.URL+": status 503 Service Unavailable")
	ill.Store(false)
	becomes(t, node.url, "payments/i-1", "up")
	p.signal(t, syscall.SIGTERM)
	p.ends(t, 143)
	var last, before string
	for last != "expired" { // where the machine is busy a probe may have failed by itself
		before = last
		last, _ = w.change(t)
	}
	if before != "draining" {
		t.Errorf("at last it was %s; want draining", before)
	}
}

func TestTheStatusFollowsWhatACommandSaysOfTheProgram(t *testing.T) {
	t.Parallel()
	node := serve(t)
	well := filepath.Join(t.TempDir(), "well")
	p := launch(t, node.url, "run", "payments/i-1", "--status", "draining", "--health-cmd", "test -e "+well, "--health-interval", "100ms", "--", "sh", "-c", forever)
	p.says(t, "sh is not well: test -e")
	if f, _ := find(t, node.url, "payments/i-1"); f.Status != "down" {
		t.Errorf("it is %s before it is well; want down", f.Status)
	}
	if err := os.WriteFile(well, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	becomes(t, node.url, "payments/i-1", "draining")
	if err := os.Remove(well); err != nil {
		t.Fatal(err)
	}
	becomes(t, node.url, "payments/i-1", "down")
}

func TestSignalsArePassedOnAndOneThatEndsTheProgramDrainsIt(t *testing.T) {
	t.Parallel()
	node := serve(t)
	leave := filepath.Join(t.TempDir(), "leave")
	p := running(t, node.url, `trap 'echo USR1' USR1; trap 'echo TERM; until [ -e `+leave+` ]; do sleep 0.02; done; exit 5' TERM
		echo ready; while :; do sleep 0.02; done`)
	for _, want := range []string{"ready", "USR1", "TERM"} {
		switch want {
		case "USR1":
			p.signal(t, syscall.SIGUSR1)
		case "TERM":
			p.signal(t, syscall.SIGTERM)
		}
		if got := p.line(t); got != want {
			t.Errorf("the program said %q; want %q", got, want)
		}
	}
	becomes(t, node.url, "payments/i-1", "draining")
	if err := os.WriteFile(leave, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.ends(t, 5)
	gone(t, node.url, "payments/i-1")
}

func TestAProgramThatCannotBeStartedHasTheCodeOfAShell(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	dir := t.TempDir()
	for program, want := range map[string]struct {
		code int
		said string
	}{
		"no-such-program": {127, "roost: start no-such-program: executable file not found in $PATH"},
		dir + "/none":     {127, "roost: start " + dir + "/none: no such file or directory"},
		dir:               {126, "roost: start " + dir + ": permission denied"},
	} {
		p := launch(t, node.url, "run", "payments/i-1", "--", program)
		p.ends(t, want.code)
		if got := strings.TrimSpace(p.stderr.String()); got != want.said {
			t.Errorf("it said %q; want %q", got, want.said)
		}
		gone(t, node.url, "payments/i-1")
	}
}

func TestAProgramThatCannotBeRegisteredIsNotStarted(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	must(t, node.url, "register", "payments/i-1", "--permanent")
	witness := filepath.Join(t.TempDir(), "started")
	for _, row := range []struct {
		url  string
		args []string
		said string
	}{
		{node.url, []string{"--wait", "500ms"}, "already exists"},
		{"nats://127.0.0.1:1", nil, "roost serve"},
		{node.url, []string{"--prefix", "nobody.v1", "--timeout", "1s"}, "--prefix"},
	} {
		p := launch(t, row.url, append(append([]string{"run", "payments/i-1"}, row.args...), "--", "touch", witness)...)
		p.ends(t, exitUnavailable)
		if said := p.stderr.String(); !strings.Contains(said, row.said) || !strings.HasSuffix(said, "; the command was not started\n") {
			t.Errorf("roost run %v said %q; want %q, and that the command was not started", row.args, said, row.said)
		}
	}
	waits := launch(t, node.url, "run", "payments/i-1", "--wait", "1m", "--", "touch", witness)
	waits.says(t, "waiting up to 1m0s")
	waits.signal(t, syscall.SIGTERM)
	waits.ends(t, exitUnavailable)
	if _, err := os.Stat(witness); err == nil {
		t.Error("the command was started")
	}
}

func TestWrongUsageOfRunIsSaidInALine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		args []string
		said string
	}{
		{nil, "missing"},
		{[]string{"payments"}, "the command to run is missing; give it after --"},
		{[]string{"payments", "true"}, "the command to run is missing; give it after --"},
		{[]string{"payments", "--"}, "the command to run is missing; give it after --"},
		{[]string{"--", "true"}, "SERVICE is missing"},
		{[]string{"payments", "orders", "--", "true"}, `"orders" is one argument too many`},
		{[]string{"payments", "--max-restarts", "-1", "--", "true"}, "--max-restarts -1"},
		{[]string{"payments", "--within", "0s", "--", "true"}, "--within 0s"},
		{[]string{"payments", "--stop-grace", "-1s", "--", "true"}, "--stop-grace -1s"},
		{[]string{"payments", "--health-interval", "1ms", "--", "true"}, "--health-interval 1ms"},
		{[]string{"payments", "--health-http", "127.0.0.1:80", "--", "true"}, "--health-http"},
		{[]string{"payments", "--health-http", "http://127.0.0.1:1", "--health-cmd", "true", "--", "true"}, "give one of them"},
		{[]string{"payments", "--ttl", "1ms", "--", "true"}, "--ttl 1ms"},
		{[]string{"_internal", "--", "true"}, "reserved"},
	} {
		code, _, said := roost(t, "nats://127.0.0.1:1", append([]string{"run"}, row.args...)...)
		if code != exitUsage || !strings.Contains(said, row.said) || strings.Count(said, "\n") != 1 {
			t.Errorf("roost run %v = %d, %q; want %d and one line with %q", row.args, code, said, exitUsage, row.said)
		}
	}
}

func TestAProgramThatIsKilledIsStartedAgain(t *testing.T) {
	t.Parallel()
	node := serve(t)
	w := watch(t, node.url, "payments", "--json")
	p := running(t, node.url, forever, "--max-restarts", "1")
	first := p.pid(t)
	w.shows(t, "down", "up")
	kill(t, first, syscall.SIGKILL)
	second := p.pid(t)
	w.shows(t, "down", "up")
	kill(t, second, syscall.SIGKILL)
	p.ends(t, 137)
	gone(t, node.url, "payments/i-1")
	p.says(t, "killed; it has failed more than 1 times within 1m0s")
}

func TestAProgramAndItsRegistrationOutliveARestartOfTheRegistry(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	node := serve(t, "--store-dir", store)
	p := running(t, node.url, forever, "--ttl", "10s")
	pid := p.pid(t)
	before, _ := find(t, node.url, "payments/i-1")
	for range 2 {
		if code := node.terminate(t); code != exitDone {
			t.Fatalf("the registry ended with %d", code)
		}
		node = again(t, node.url, "--store-dir", store)
		if after, there := find(t, node.url, "payments/i-1"); !there || after != before {
			t.Errorf("registered as %+v after the restart; want %+v", after, before)
		}
	}
	// Another registry, which knows nothing, where the old one was.
	if code := node.terminate(t); code != exitDone {
		t.Fatalf("the registry ended with %d", code)
	}
	node = again(t, node.url)
	becomes(t, node.url, "payments/i-1", "up")
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the program has ended: %v", err)
	}
	select {
	case line := <-p.lines:
		t.Errorf("the program was started again: %s", line)
	default:
	}
	p.signal(t, syscall.SIGTERM)
	p.ends(t, 143)
	gone(t, node.url, "payments/i-1")
}

func TestARunThatCannotReachTheRegistryAtTheEndStillEnds(t *testing.T) {
	t.Parallel()
	node := serve(t)
	p := running(t, node.url, forever)
	p.pid(t)
	node.terminate(t)
	begin := time.Now()
	p.signal(t, syscall.SIGTERM)
	p.ends(t, 143)
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("it took %v to end", took)
	}
	p.says(t, "cannot unregister")
}

func TestEveryInstanceHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	node := serve(t)
	p := launch(t, node.url, "run", "payments", "--", "sh", "-c", forever)
	p.pid(t)
	q := launch(t, node.url, "run", "payments", "--", "sh", "-c", forever)
	q.pid(t)
	if got := must(t, node.url, "count", "payments"); got != "2\n" {
		t.Errorf("count = %s; want 2", got)
	}
	for _, one := range []*launched{p, q} {
		host, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		if _, there := find(t, node.url, fmt.Sprintf("payments/%s-%d", host, one.cmd.Process.Pid)); !there {
			t.Errorf("nothing is registered for process %d", one.cmd.Process.Pid)
		}
	}
}
