package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// TestARegistryIsSwitchedUnderLoadAndFoundAgainAfterAKill shows R10 on NATS: eight clients
// write while a registry moves from memory to a bucket, to another, and back to the first
// name; whoever reads is always answered; and after a kill the node finds where it has gone.
func TestARegistryIsSwitchedUnderLoadAndFoundAgainAfterAKill(t *testing.T) {
	t.Parallel()
	args := []string{"--store-dir", t.TempDir(), "--backend", "memory"}
	node := serve(t, args...)
	nc, err := nats.Connect(node.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	must(t, node.url, "register", "sum/all", "--permanent", "--weight", "0")
	must(t, node.url, "counter", "switched", "add", "7")
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var added, doubts, reads atomic.Int64
	var acknowledged sync.Map
	key := client.Key{Namespace: "default", Service: "sum", Instance: "all"}
	for w := range 8 {
		c, err := client.Connect(t.Context(), node.url)
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			defer c.Close()
			for i := 0; ctx.Err() == nil; i++ {
				r := client.Registration{Key: client.Key{Namespace: "default", Service: "load", Instance: fmt.Sprintf("w%d-%d", w, i)}}
				switch _, _, err := c.Register(t.Context(), r, client.Write{}); {
				case err == nil:
					acknowledged.Store(r.Instance, true)
				case !errors.Is(err, backend.ErrUnknownOutcome): // of one sent again after the epoch has changed
					t.Errorf("Register() = %v", err)
				}
				switch done, err := addOne(t.Context(), c, key); {
				case done:
					added.Add(1)
				case err != nil:
					doubts.Add(1)
				}
			}
		})
	}
	clients.Go(func() {
		for ctx.Err() == nil {
			m, err := nc.Request("roost.v1.registry.lookup.default.sum.all", []byte("{}"), 5*time.Second)
			if err != nil || m.Header.Get("Nats-Service-Error-Code") != "" {
				t.Errorf("look-up = %v, %v; want an answer throughout", m, err)
				return
			}
			reads.Add(1)
		}
	})
	for _, to := range [][]string{{"durable"}, {"hybrid", "--bucket", "second"}, {"--bucket", "third"}, {"--bucket", "roost_v1"}} {
		time.Sleep(300 * time.Millisecond) // of load
		said := must(t, node.url, append([]string{"backend", "switch", "--timeout", "20s"}, to...)...)
		if !strings.Contains(said, "the registry is at bucket") {
			t.Errorf("switch %v says %q", to, said)
		}
		t.Logf("%v: %s", to, strings.TrimSpace(said))
	}
	cancel()
	clients.Wait()
	node.signal(t, syscall.SIGKILL)
	<-node.exited

	again := serve(t, args...)
	if said := must(t, again.url, "backend", "status"); !strings.Contains(said, "bucket roost_v1") {
		t.Errorf("after the kill the registry is elsewhere:\n%s", said)
	}
	listed := must(t, again.url, "list", "load", "--json")
	lost, all := 0, 0
	acknowledged.Range(func(name, _ any) bool {
		all++
		if !strings.Contains(listed, fmt.Sprintf(`"instance":"%s"`, name)) {
			lost++
		}
		return true
	})
	if lost > 0 || all < 100 || reads.Load() < 100 {
		t.Errorf("%d of %d acknowledged registrations were lost; %d look-ups", lost, all, reads.Load())
	}
	c, err := client.Connect(t.Context(), again.url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, _, err := c.Lookup(t.Context(), key, client.Read{})
	if sum := int64(r.Weight); err != nil || sum < added.Load() || sum > added.Load()+doubts.Load() {
		t.Errorf("the sum is %d, %v; %d additions were acknowledged and %d are in doubt", sum, err, added.Load(), doubts.Load())
	}
	if got := must(t, again.url, "counter", "switched"); strings.TrimSpace(got) != "7" {
		t.Errorf("counter = %q; want 7", got)
	}
}

// addOne adds one to the weight of a registration. done says that it has, for certain; an
// error that this is not known.
func addOne(ctx context.Context, c *client.Client, key client.Key) (done bool, err error) {
	r, _, err := c.Lookup(ctx, key, client.Read{})
	if err != nil {
		return false, nil //nolint:nilerr // nothing was added
	}
	weight := r.Weight + 1
	_, _, err = c.Update(ctx, key, client.Change{Weight: &weight}, client.Write{If: client.IfRevision(r.Revision)})
	if err == nil || errors.Is(err, backend.ErrUnknownOutcome) {
		return err == nil, err
	}
	return false, nil
}

func TestAnErrorOfASwitchSaysWhatToDoAboutIt(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir())
	complains(t, []string{"backend", "switch", "--abort", "--server", node.url}, "no switch is under way", "roost backend status")
}

// A registry that was switched to another NATS is found by nodes whose settings name that by
// now, in whatever bucket it is; and it comes back.
func TestARegistryIsFoundByWhateverSettingsLeadToIt(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--store-dir", t.TempDir(), "--trusted-clients", "--prefix", "upstream.v1")
	dir := t.TempDir()
	node := serve(t, "--store-dir", dir)
	must(t, node.url, "register", "orders/i-1", "--permanent")
	must(t, node.url, "backend", "switch", "--bucket", "elsewhere", "--to-nats-url", upstream.url)
	if said := must(t, node.url, "backend", "switch", "durable"); !strings.Contains(said, "nothing is moved; the registry is read as durable") {
		t.Errorf("a change of where it is read from says %q", said)
	}
	node.terminate(t)

	node = serve(t, "--store-dir", dir, "--nats-url", upstream.url)
	must(t, node.url, "lookup", "orders/i-1")
	node.terminate(t)

	node = serve(t, "--store-dir", dir) // the first settings
	must(t, node.url, "lookup", "orders/i-1")
	said := must(t, node.url, "backend", "switch", "--bucket", "roost_v1", "--to-nats-url", "own")
	if !strings.Contains(said, "the registry is at bucket roost_v1 now") {
		t.Errorf("the way back says %q", said)
	}
	must(t, node.url, "lookup", "orders/i-1")
}

func TestANATSThatCannotBeReachedIsNotMovedTo(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir())
	code, _, said := roost(t, node.url, "backend", "switch", "--to-nats-url", "nats://127.0.0.1:1")
	if code != exitUsage || !strings.Contains(said, "invalid nats_url") || !strings.Contains(said, "127.0.0.1:1") {
		t.Errorf("exit code %d, %q; want %d and which NATS", code, said, exitUsage)
	}
}
