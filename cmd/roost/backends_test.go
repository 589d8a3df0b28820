package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestHybridAndDurableServeTheSameBucketInTheSameEpoch shows that changing between them is
// no move.
func TestHybridAndDurableServeTheSameBucketInTheSameEpoch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	epoch := ""
	for i, kind := range []string{"durable", "hybrid", "durable"} {
		node := serve(t, "--store-dir", dir, "--backend", kind)
		must(t, node.url, "register", fmt.Sprintf("orders/i-%d", i), "--permanent")
		nc, err := nats.Connect(node.url)
		if err != nil {
			t.Fatal(err)
		}
		m, err := nc.Request("roost.v1.registry.count", []byte(`{"consistency":"linearizable"}`), patience)
		nc.Close()
		if err != nil || string(m.Data) != fmt.Sprintf(`{"count":%d}`, i+1) {
			t.Fatalf("%s counts %s, %v; want %d", kind, m.Data, err, i+1)
		}
		if now := m.Header.Get("Roost-Epoch"); epoch != "" && now != epoch || now == "" {
			t.Errorf("%s serves epoch %q; want %q as before", kind, now, epoch)
		} else {
			epoch = now
		}
		if health := must(t, node.url, "health"); !strings.Contains(health, kind) {
			t.Errorf("health of %s says\n%s", kind, health)
		}
		node.signal(t, syscall.SIGTERM)
		node.wait(t)
	}
}
