//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// inRole is a command that runs another one in a role, in a process of its own.
type inRole struct {
	*process
	lines chan string // what the other one prints
}

func startRole(t *testing.T, url string, args ...string) *inRole {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &inRole{process: &process{cmd: exec.Command(exe, args...), exited: make(chan struct{})}, lines: make(chan string, 64)}
	r.cmd.Env = []string{asRoost + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "NATS_URL=" + url}
	r.cmd.Stderr = &r.stderr
	read, write, err := os.Pipe() // the child has it too, also when this process is killed
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout = write
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	go r.reap()
	go func() {
		defer close(r.lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			r.lines <- s.Text()
		}
		_ = read.Close()
	}()
	t.Cleanup(func() {
		r.signal(t, syscall.SIGCONT)
		r.signal(t, syscall.SIGKILL)
		<-r.exited
		if t.Failed() {
			t.Logf("roost %v said:\n%s", args, r.stderr.String())
		}
	})
	return r
}

// prints waits for a line.
func (r *inRole) prints(t *testing.T, want string) string {
	t.Helper()
	select {
	case line, ok := <-r.lines:
		if matched, err := regexp.MatchString("^"+want+"$", line); err != nil || !matched || !ok {
			t.Fatalf("it printed %q; want %q\n%s", line, want, r.stderr.String())
		}
		return line
	case <-time.After(patience):
		t.Fatalf("it did not print %q\n%s", want, r.stderr.String())
	}
	return ""
}

// untilTold is a script that prints a line, and another one when it is told to stop.
const untilTold = `trap 'echo stopped; exit 9' TERM; echo "$0 $ROOST_TERM $ROOST_TOKEN"; while :; do sleep 0.02; done`

func TestACommandUnderALockHasItsTokenAndIsAloneWithIt(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	first := startRole(t, node.url, "lock", "ledger", "--", "sh", "-c", untilTold, "first")
	one := first.prints(t, `first  [0-9a-f]{8}-[0-9a-f]{16}`)
	if code, _, said := roost(t, node.url, "lock", "ledger", "--wait", "0s", "--", "true"); code != exitUnavailable ||
		!strings.Contains(said, "the command was not started") {
		t.Errorf("a second one: %d, %q; want 5", code, said)
	}
	second := startRole(t, node.url, "lock", "ledger", "--", "sh", "-c", untilTold, "second")
	if code := first.terminate(t); code != 9 {
		t.Errorf("the first ended with %d; want its command's 9", code)
	}
	two := second.prints(t, `second  [0-9a-f]{8}-[0-9a-f]{16}`)
	if strings.TrimPrefix(two, "second") <= strings.TrimPrefix(one, "first") {
		t.Errorf("tokens %q, then %q; want the later one greater", one, two)
	}
}

func TestACommandUnderALockThatIsKilledLeavesItToTheNext(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	first := startRole(t, node.url, "lock", "ledger", "--grace", "2s", "--stop-grace", "500ms", "--", "sh", "-c", untilTold, "first")
	first.prints(t, `first .*`)
	first.signal(t, syscall.SIGKILL)
	first.prints(t, "stopped") // its command does not outlive it
	next := startRole(t, node.url, "lock", "ledger", "--", "echo", "next")
	next.prints(t, "next")
	if code := next.wait(t); code != 0 {
		t.Errorf("the next ended with %d", code)
	}
}

func TestACommandRunsOnlyWhileItLeads(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir())
	args := []string{"elect", "boss", "--ttl", "3s", "--grace", "3s", "--stop-grace", "500ms", "--", "sh", "-c", untilTold}
	first := startRole(t, node.url, append(args, "first")...)
	first.prints(t, `first 1 .*`)
	if got := must(t, node.url, "leader", "boss"); !strings.HasPrefix(got, "term 1  owner ") {
		t.Errorf("leader printed %q", got)
	}
	second := startRole(t, node.url, append(args, "second")...)
	if code := first.terminate(t); code != 9 {
		t.Errorf("the first ended with %d; want its command's 9", code)
	}
	second.prints(t, `second 2 .*`)

	// Nobody can tell whether it still leads, so the command must not go on.
	node.signal(t, syscall.SIGSTOP)
	second.prints(t, "stopped")
	node.signal(t, syscall.SIGCONT)
	second.prints(t, `second \d+ .*`)
}

func TestThePermitsOfASemaphoreAreShared(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	for _, who := range []string{"one", "two"} {
		startRole(t, node.url, "semaphore", "slots", "--limit", "2", "--", "sh", "-c", untilTold, who).prints(t, who+" .*")
	}
	if code, _, _ := roost(t, node.url, "semaphore", "slots", "--limit", "2", "--wait", "0s", "--", "true"); code != exitUnavailable {
		t.Errorf("a third one: %d; want 5", code)
	}
	if code, _, said := roost(t, node.url, "semaphore", "slots", "--limit", "3", "--wait", "0s", "--", "true"); code != exitUnavailable {
		t.Errorf("with another limit: %d, %s; want 5", code, said)
	}
}

func TestABarrierReleasesAllTogether(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	if code, _, _ := roost(t, node.url, "barrier", "start", "--size", "2", "--wait", "10ms"); code != exitUnavailable {
		t.Errorf("alone: %d; want 5", code)
	}
	done := make(chan string, 2)
	for range 2 {
		go func() {
			_, out, said := roost(t, node.url, "barrier", "start", "--size", "2")
			done <- out + said
		}()
	}
	for range 2 {
		if got := <-done; got != "released; generation 1\n" {
			t.Errorf("printed %q", got)
		}
	}
}

func TestACounterAdds(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"memory", "hybrid"} {
		node := serve(t, "--backend", backend, "--store-dir", filepath.Join(t.TempDir(), "store"))
		for _, step := range []struct {
			args []string
			want string
		}{
			{[]string{"counter", "invoices"}, "0\n"},
			{[]string{"counter", "invoices", "add", "40"}, "40\n"},
			{[]string{"counter", "invoices", "add", "--", "-3"}, "37\n"},
			{[]string{"counter", "invoices"}, "37\n"},
		} {
			if got := must(t, node.url, step.args...); got != step.want {
				t.Errorf("%s: roost %v printed %q; want %q", backend, step.args, got, step.want)
			}
		}
	}
}

func TestAProposalIsDecidedByItsVoters(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	var secrets []string
	for _, instance := range []string{"a", "b"} {
		secret := strings.TrimSpace(must(t, node.url, "lease", "grant", "--ttl", "1m"))
		must(t, node.url, "register", "payments/"+instance, "--lease", secret)
		secrets = append(secrets, secret)
	}
	nc, err := nats.Connect(node.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	announced, err := nc.SubscribeSync("roost.v1.announce.proposal.default.schema")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	outcome := make(chan string, 1)
	go func() {
		code, out, said := roost(t, node.url, "propose", "schema", `{"version":7}`, "--voters", "payments", "--quorum", "all")
		outcome <- strings.TrimSpace(strings.SplitN(out, "\n", 2)[0]) + said + string(rune('0'+code))
	}()
	m, err := announced.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var record struct{ Latest struct{ ID string } }
	if err := json.Unmarshal(m.Data, &record); err != nil {
		t.Fatal(err)
	}
	id := record.Latest.ID
	for _, secret := range secrets {
		must(t, node.url, "vote", "schema", "--id", id, "yes", "--lease", secret)
	}
	if got, want := <-outcome, "committed "+id+": 2 of 2 accepted, 2 needed0"; got != want {
		t.Errorf("the proposal printed %q; want %q", got, want)
	}
	if code, _, said := roost(t, node.url, "vote", "schema", "--id", id, "maybe"); code != exitUsage || !strings.Contains(said, "neither yes nor no") {
		t.Errorf("a vote that is none: %d, %q", code, said)
	}
}
