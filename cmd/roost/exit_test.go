package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/roostbus/roost/backend"
)

func TestEveryFailureHasItsExitCodeAndOneLine(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	for _, row := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"lookup", "nobody"}, exitNotFound, "roost list"},
		{[]string{"lookup", "nobody/i-1"}, exitNotFound, "not found"},
		{[]string{"update", "nobody/i-1", "--status", "down"}, exitNotFound, "not found"},
		{[]string{"unregister", "nobody/i-1", "--if-revision", "7"}, exitConflict, "does not exist"},
		{[]string{"register", "orders", "--permanent", "--lease", "H4QWDBVVTIQXVMV2OS6CNXVIUA"}, exitUsage, "--permanent"},
		{[]string{"register"}, exitUsage, "SERVICE is missing"},
		{[]string{"register", "_internal/i-1", "--permanent"}, exitUsage, "reserved"},
		{[]string{"register", "orders/i-1", "--permanent", "--weight", "70000"}, exitUsage, "65535"},
		{[]string{"register", "orders/i-1", "--permanent", "--meta", "a"}, exitUsage, "NAME=VALUE"},
		{[]string{"register", "orders/i-1", "--permanent", "--meta", "a=1", "--meta", "a=2"}, exitUsage, "metadata"},
		{[]string{"register", "orders/i-1", "--permanent", "--endpoint", "a=1", "--endpoint", "a=2"}, exitUsage, "twice"},
		{[]string{"register", "orders", "--unique", "--instance", "x", "--permanent"}, exitUsage, "--unique"},
		{[]string{"update", "orders/i-1"}, exitUsage, "nothing to change"},
		{[]string{"list", "--timeout", "0s"}, exitUsage, "--timeout 0s"},
		{[]string{"update", "orders", "--status", "up"}, exitUsage, "names a service"},
		{[]string{"list", "--status", "sideways"}, exitUsage, "sideways"},
		{[]string{"list", "--filter", "metadata."}, exitUsage, "filter"},
		{[]string{"list", "orders", "--all-namespaces"}, exitUsage, "--all-namespaces"},
		{[]string{"list", "--nonsense"}, exitUsage, "--nonsense"},
		{[]string{"list", "--timeout", "soon"}, exitUsage, "soon"},
		{[]string{"nonsense"}, exitUsage, "nonsense"},
		{[]string{"completion", "csh"}, exitUsage, "csh"},
		{[]string{"list", "--prefix", "nobody.v1", "--timeout", "500ms"}, exitUnavailable, "--prefix"},
		{[]string{"health", "--server", "nats://127.0.0.1:1", "--timeout", "5s"}, exitUnavailable, "roost serve"},
		{[]string{"list", "--context", "none"}, exitUsage, "nats context ls"},
		{[]string{"list", "--config", "/nowhere/roost.yaml"}, exitUsage, "/nowhere/roost.yaml"},
	} {
		code, _, said := roost(t, node.url, row.args...)
		if code != row.code || !strings.Contains(said, row.said) || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "roost: ") {
			t.Errorf("roost %v = %d, %q; want %d and one line with %q", row.args, code, said, row.code, row.said)
		}
	}
}

func TestExitCodesOfErrorsThatANodeRarelyMakes(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		backend.ErrUnknownOutcome: exitUnknown,
		fmt.Errorf("%w: %w", backend.ErrUnknownOutcome, backend.ErrUnavailable): exitUnknown,
		backend.ErrExists:        exitConflict,
		backend.ErrNotOwner:      exitConflict,
		backend.ErrTimeout:       exitUnavailable,
		backend.ErrLimitExceeded: exitUnavailable,
		errors.New("other"):      exitFailed,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("exitCode(%v) = %d; want %d", err, got, want)
		}
	}
}

// TestHealthExitsWithWhatTheNodeSays stands in for a node that is not well, at the far end
// of a real NATS.
func TestHealthExitsWithWhatTheNodeSays(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--backend", "memory", "--trusted-clients")
	nc, err := nats.Connect(upstream.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for status, want := range map[string]int{"healthy": exitDone, "degraded": exitDegraded, "unhealthy": exitUnhealthy} {
		service, err := micro.AddService(nc, micro.Config{
			Name: "sick", Version: "0.0.0",
			Endpoint: &micro.EndpointConfig{Subject: "sick.v1.registry.health", Handler: micro.HandlerFunc(func(r micro.Request) {
				_ = r.Respond([]byte(`{"status":"` + status + `","problems":["the bucket is away"],"notes":["no system account"],"leases":3,"connection_events":false}`))
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		code, out, said := roost(t, upstream.url, "health", "--prefix", "sick.v1")
		for _, line := range []string{
			"problem             the bucket is away\n", "note                no system account\n", "leases              3\n",
			"closed connections  not noticed before the TTL has passed\n",
		} {
			if !strings.Contains(out, line) {
				t.Errorf("roost health printed\n%swant %q in it", out, line)
			}
		}
		if code != want || said != "" {
			t.Errorf("roost health of one %s = %d, %q, %q; want %d", status, code, out, said, want)
		}
		if err := service.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAContextOfTheNATSCommandLineSaysWhereToConnect(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	home := t.TempDir()
	dir := filepath.Join(home, ".config", "nats", "context")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"good":   fmt.Sprintf(`{"description":"here","url":%q,"inbox_prefix":"_INBOX.me","something":"new"}`, node.url),
		"broken": `{"url":`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"good": exitDone, "broken": exitUsage, "../good": exitUsage} {
		var out, said strings.Builder
		code := run(t.Context(), program{
			args: []string{"count", "--context", name}, stdout: &out, stderr: &said, environ: []string{"HOME=" + home},
		})
		if code != want {
			t.Errorf("roost count --context %s = %d, %q; want %d", name, code, said.String(), want)
		}
	}
}
