//go:build unix

package child_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/cmd/roost/child"
)

// shell starts a script. Anything that it says goes through files, since the streams of a
// child are those of the test.
func shell(t *testing.T, grace time.Duration, script string, env ...string) *child.Process {
	t.Helper()
	var r child.Runner
	p, err := r.Start(child.Command{Args: []string{"sh", "-c", script}, Env: env, Grace: grace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(context.Background()) })
	return p
}

// fifo returns a named pipe and a function that reads a line of it.
func fifo(t *testing.T) (path string, line func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	r := bufio.NewReader(f)
	return path, func() string {
		t.Helper()
		if err := f.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		text, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(text)
	}
}

// gone waits until a process has ended and its end was noted.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "end of the process", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// eventually waits until ok, which nothing tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestTheEndOfAChildIsThatOfTheCommand(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]child.Exit{
		"exit 0":        {},
		"exit 7":        {Code: 7},
		"kill -KILL $$": {Code: 137, Signal: syscall.SIGKILL},
	} {
		if got := shell(t, time.Second, script).Exit(); got != want {
			t.Errorf("%q: exit = %+v; want %+v", script, got, want)
		}
	}
}

func TestACommandThatCannotBeStartedHasTheCodeThatShellsGive(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]int{"no-such-program-at-all": 127, "/no/such/file": 127, t.TempDir(): 126} {
		var r child.Runner
		_, err := r.Start(child.Command{Args: []string{program}})
		if failure, ok := errors.AsType[*child.StartError](err); !ok || failure.Code != want {
			t.Errorf("start %s: %v; want a StartError of code %d", program, err, want)
		}
	}
}

func TestAChildSeesWhatItIsGivenInItsEnvironment(t *testing.T) {
	t.Parallel()
	path, line := fifo(t)
	shell(t, time.Second, `echo "$TOKEN" > "$OUT"`, "TOKEN=0000002a-07", "OUT="+path)
	if got := line(); got != "0000002a-07" {
		t.Errorf("TOKEN = %q", got)
	}
}

func TestAChildMayFinishWhenItIsToldToStop(t *testing.T) {
	t.Parallel()
	path, line := fifo(t)
	p := shell(t, time.Minute, `trap 'exit 3' TERM; echo ready > "$OUT"; while :; do sleep 0.01; done`, "OUT="+path)
	line()
	if got := p.Stop(t.Context()); got.Code != 3 {
		t.Errorf("exit = %+v; want code 3", got)
	}
	if again := p.Stop(t.Context()); again.Code != 3 {
		t.Errorf("a second Stop = %+v", again)
	}
}

func TestAChildThatDoesNotStopIsKilledWithAllThatItStarted(t *testing.T) {
	t.Parallel()
	path, line := fifo(t)
	p := shell(t, 50*time.Millisecond, `trap '' TERM; (trap '' TERM; exec sleep 600) & echo $! > "$OUT"; wait`, "OUT="+path)
	grandchild, err := strconv.Atoi(line())
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Stop(t.Context()); got.Signal != syscall.SIGKILL {
		t.Errorf("exit = %+v; want killed", got)
	}
	gone(t, grandchild)
}

func TestACommandWhoseTimeIsOverIsKilledWithAllThatItStarted(t *testing.T) {
	t.Parallel()
	path, line := fifo(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "sh", "-c", `sleep 600 & echo $! > "$OUT"; wait`)
	cmd.Env = append(os.Environ(), "OUT="+path)
	var r child.Runner
	ended := make(chan error, 1)
	go func() { ended <- r.Run(cmd) }()
	grandchild, err := strconv.Atoi(line())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("a command that was killed has succeeded")
	}
	gone(t, grandchild)
}

func TestSignalsReachTheChild(t *testing.T) {
	t.Parallel()
	path, line := fifo(t)
	p := shell(t, time.Second, `trap 'echo got > "$OUT"; exit 0' USR1; echo ready > "$OUT"; while :; do sleep 0.01; done`, "OUT="+path)
	line()
	p.Signal(syscall.SIGUSR1)
	if got := line(); got != "got" {
		t.Errorf("the child said %q", got)
	}
}

func TestAChildThatFailsTooOftenIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	r := child.Restarts{Max: 3, Within: time.Minute}
	now := time.Now()
	var before time.Duration
	for i := range 3 {
		pause, ok := r.Again(now.Add(time.Duration(i) * time.Second))
		if !ok || pause <= before {
			t.Fatalf("failure %d: pause = %v after %v, again = %v", i, pause, before, ok)
		}
		before = pause
	}
	if _, ok := r.Again(now.Add(59 * time.Second)); ok {
		t.Error("a fourth failure within a minute is forgiven")
	}
	if _, ok := r.Again(now.Add(61 * time.Second)); !ok {
		t.Error("two failures within a minute are not forgiven")
	}
}

// Not parallel: whoever reaps inherits, and waits for, the orphans of this whole process.
func TestOrphansAreTakenInAndTheirEndsNoted(t *testing.T) { //nolint:paralleltest // see above
	path, line := fifo(t)
	if err := syscall.Mkfifo(path+".in", 0o600); err != nil {
		t.Fatal(err)
	}
	var r child.Runner
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Reap(ctx)
	}()
	p, err := r.Start(child.Command{
		Args: []string{"sh", "-c", `sh -c 'echo $$ > "$OUT"; read -r _ < "$IN"' & exit 5`},
		Env:  []string{"OUT=" + path, "IN=" + path + ".in"},
	})
	if err != nil {
		t.Fatal(err)
	}
	orphan := line()
	if got := p.Exit(); got.Code != 5 {
		t.Errorf("exit = %+v; want that of the child", got)
	}
	if err := os.WriteFile(path+".in", []byte("end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of the orphan", func() bool {
		_, err := os.Stat("/proc/" + orphan)
		return err != nil
	})
	cancel()
	<-done
}
