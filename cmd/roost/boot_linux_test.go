package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/roostbus/roost/bus"
)

// servedEpoch returns the epoch that a node answers with.
func servedEpoch(t *testing.T, node *process) uint32 {
	t.Helper()
	var h bus.HealthReply
	if err := json.Unmarshal([]byte(must(t, node.url, "health", "--json")), &h); err != nil {
		t.Fatal(err)
	}
	return uint32(h.Epoch)
}

// What a machine that lost power took with it, nobody remembers. C1 needs a higher epoch then;
// `make drill-power` has it happen.
func TestANodeWhoseMachineStoppedUnderItBeginsAHigherEpoch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	node := serve(t, "--store-dir", dir)
	before := servedEpoch(t, node)
	kill := func() {
		node.signal(t, syscall.SIGKILL)
		node.wait(t)
	}
	kill()
	node = serve(t, "--store-dir", dir)
	if got := servedEpoch(t, node); got != before {
		t.Errorf("epoch after a SIGKILL of the process = %d; want %d still", got, before)
	}
	kill()
	path := filepath.Join(dir, "epoch.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]any
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	if kept["boot"] == nil {
		t.Fatalf("%s does not say on which life of the machine the node depends: %s", path, text)
	}
	kept["boot"] = "the one before"
	if text, err = json.Marshal(kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	node = serve(t, "--store-dir", dir)
	if got := servedEpoch(t, node); got <= before {
		t.Errorf("epoch = %d; want more than %d", got, before)
	}
	node.terminate(t)
	if text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	kept = nil
	if err := json.Unmarshal(text, &kept); err != nil || kept["boot"] != nil {
		t.Errorf("after an orderly stop the node depends on the machine's life: %s, %v", text, err)
	}
}
