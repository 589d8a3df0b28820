package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// R2 on one node: what was acknowledged is there after a restart.
func TestRegistrationsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := serve(t, "--store-dir", dir)
	must(t, first.url, "register", "orders/i-1", "--permanent", "--meta", "version=1")
	before := must(t, first.url, "lookup", "orders/i-1", "--json")
	if code := first.terminate(t); code != 0 {
		t.Errorf("exit code after SIGTERM = %d; want 0", code)
	}
	second := serve(t, "--store-dir", dir)
	if after := must(t, second.url, "lookup", "orders/i-1", "--json"); after != before {
		t.Errorf("after the restart = %s; want %s", after, before)
	}
}

// Supervisors signal a process and then its group: that is one wish, said twice.
func TestASignalThatComesTwiceAtOnceIsOne(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir())
	node.signal(t, syscall.SIGTERM)
	node.signal(t, syscall.SIGINT)
	if code := node.terminate(t); code != 0 {
		t.Errorf("exit code = %d; want 0\n%s", code, node.stderr.String())
	}
}

func TestASecondSIGTERMEndsAStopThatHangs(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--store-dir", t.TempDir(), "--trusted-clients")
	node := serve(t, "--store-dir", t.TempDir(), "--nats-url", upstream.url, "--prefix", "other.v1", "--stop-timeout", "5m")
	upstream.signal(t, syscall.SIGSTOP) // nothing is answered, nothing is closed
	node.signal(t, syscall.SIGTERM)
	deadline := time.Now().Add(patience)
	for !strings.Contains(node.stderr.String(), "msg=stopping") && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond) // polls another process's log
	}
	time.Sleep(2 * oneSignal) // a second signal, not an echo of the first
	if code := node.terminate(t); code != 1 {
		t.Errorf("exit code after a second SIGTERM = %d; want 1", code)
	}
	if !strings.Contains(node.stderr.String(), "second signal") {
		t.Errorf("said %q; want a word about the second signal", node.stderr.String())
	}
}

func TestAStopThatHangsEndsInsideItsBound(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--store-dir", t.TempDir(), "--trusted-clients")
	node := serve(t, "--store-dir", t.TempDir(), "--nats-url", upstream.url, "--prefix", "other.v1", "--stop-timeout", "2s")
	upstream.signal(t, syscall.SIGSTOP)
	begin := time.Now()
	if code := node.terminate(t); code != 1 {
		t.Errorf("exit code = %d; want 1", code)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the stop took %v; want about 2s", took)
	}
}

func TestABadSettingsFileIsReportedWithEveryErrorLineAndKey(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "roost.yaml")
	if err := os.WriteFile(name, []byte("listen: nowhere\nbackend: oracle\nstore_dirr: /tmp\nreplicas: two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := fails(t, []string{"ROOST_SYNC=never"}, "serve", "--config", name, "--log-level", "loud")
	if code != 2 {
		t.Errorf("exit code = %d; want 2", code)
	}
	for _, want := range []string{
		name + ":1: listen: ", name + ":2: backend: ", name + ":3: store_dirr: ", name + ":4: replicas: ", "ROOST_SYNC: ", "--log-level: ",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing is said about %s in:\n%s", want, said)
		}
	}
}

// complains checks that roost refuses to start with one line that holds every one of want.
func complains(t *testing.T, args []string, want ...string) {
	t.Helper()
	code, said := fails(t, nil, args...)
	if code == 0 || code == 2 {
		t.Errorf("roost %v = %d; want a failure that is no wrong usage", args, code)
	}
	if said == "" || strings.Contains(said, "\n") {
		t.Errorf("roost %v said %q; want one line", args, said)
	}
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("roost %v said %q; want %q in it", args, said, w)
		}
	}
}

func TestATakenPortIsOneLineThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	complains(t, []string{"serve", "--listen", address, "--store-dir", t.TempDir()}, address, "in use", "--listen", "--nats-url")
}

func TestAnUnusableStoreDirectoryIsOneLineThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	complains(t, []string{"serve", "--listen", "127.0.0.1:0", "--store-dir", filepath.Join(file, "store")}, file, "--store-dir")
}

func TestALockedStoreDirectoryNamesWhoHoldsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder := serve(t, "--store-dir", dir)
	complains(t, []string{"serve", "--listen", "127.0.0.1:0", "--store-dir", dir},
		dir, fmt.Sprintf("process %d", holder.cmd.Process.Pid), "--store-dir")
	holder.signal(t, syscall.SIGKILL)
	holder.wait(t)
	serve(t, "--store-dir", dir) // the lock ends with its process
}

func TestInMemoryNothingIsKeptAndEventsArePublished(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "never-made")
	node := serve(t, "--backend", "memory", "--store-dir", dir)
	nc, err := nats.Connect(node.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	events, err := nc.SubscribeSync("roost.v1.event.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	must(t, node.url, "register", "orders/i-1", "--permanent")
	must(t, node.url, "unregister", "orders/i-1")
	for _, want := range []string{"registered", "unregistered"} {
		m, err := events.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get("Roost-Event"); got != want || m.Subject != "roost.v1.event.default.orders.i-1" {
			t.Errorf("event = %q on %s; want %s", got, m.Subject, want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was made", dir)
	}
}

func TestTrustedClientsAreAnnounced(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir(), "--trusted-clients")
	if !strings.Contains(node.stderr.String(), "trusted_clients is set") {
		t.Errorf("the start says nothing of trusted clients:\n%s", node.stderr.String())
	}
}

func TestLogsAreJSONWhenAskedFor(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir(), "--log-format", "json")
	for line := range strings.Lines(node.stderr.String()) {
		if !strings.HasPrefix(line, `{"time":`) {
			t.Errorf("log line %q is not JSON", line)
		}
	}
}
