package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// R2 on one node: what was acknowledged is there, however the process ends.
func TestWhatWasAcknowledgedBeforeSIGTERMIsThereAfterwards(t *testing.T) {
	t.Parallel()
	endedUnderLoad(t, func(node *process) {
		if code := node.terminate(t); code != 0 {
			t.Errorf("exit code under load = %d; want 0", code)
		}
	})
}

func TestWhatWasAcknowledgedBeforeSIGKILLIsThereAfterwards(t *testing.T) {
	t.Parallel()
	endedUnderLoad(t, func(node *process) {
		node.signal(t, syscall.SIGKILL)
		node.wait(t)
	})
}

// endedUnderLoad has end end a node while clients register, starts it again, and looks
// for everything that was acknowledged.
func endedUnderLoad(t *testing.T, end func(node *process)) {
	t.Helper()
	const least = 500
	dir := t.TempDir()
	node := serve(t, "--store-dir", dir)
	var acknowledged sync.Map
	var count atomic.Int64
	var writers sync.WaitGroup
	for w := range 8 {
		nc, err := nats.Connect(node.url, nats.NoReconnect())
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			defer nc.Close()
			for i := 0; ; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				m, err := nc.Request("roost.v1.registry.register.default.load."+name, []byte("{}"), 5*time.Second)
				if err != nil {
					return
				}
				if m.Header.Get("Nats-Service-Error-Code") == "" {
					acknowledged.Store(name, true)
					count.Add(1)
				}
			}
		})
	}
	deadline := time.Now().Add(patience)
	for count.Load() < least && time.Now().Before(deadline) {
		must(t, node.url, "health", "--quiet")
	}
	end(node)
	writers.Wait()
	second := serve(t, "--store-dir", dir)
	listed := must(t, second.url, "list", "load", "--json")
	lost := 0
	acknowledged.Range(func(name, _ any) bool {
		if !strings.Contains(listed, fmt.Sprintf(`"instance":"%s"`, name)) {
			lost++
		}
		return true
	})
	if lost > 0 || count.Load() < least {
		t.Errorf("%d of %d acknowledged registrations were lost", lost, count.Load())
	}
}
