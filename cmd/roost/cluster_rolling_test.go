package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// load is what programs ask of a registry while something happens to it. Whatever fails is
// kept.
type load struct {
	wg      sync.WaitGroup
	stop    context.CancelFunc
	label   string // of its names
	clients []*client.Client

	mu      sync.Mutex
	done    int
	longest time.Duration
	failed  []error
	written map[string]client.Revision
}

// registrar registers: a session, or a client that leaves what it registers for good.
type registrar interface {
	Register(ctx context.Context, r client.Registration, w client.Write) (client.Registration, client.Stamp, error)
}

// startLoad has clients of the nodes at url register, look up and list, each its own names,
// until the load is ended. With a label of its own what is registered is permanent.
func startLoad(t *testing.T, url string, clients int, label string) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, label: label, written: map[string]client.Revision{}}
	for i := range clients {
		c, err := client.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		l.clients = append(l.clients, c)
		var by registrar = c
		if label == "" {
			if by, err = c.NewSession(ctx, client.SessionOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l.round(ctx, c, by, fmt.Sprintf("%sc%d-%d", label, i, n%50), n)
			}
		})
	}
	t.Cleanup(func() { stop(); l.wg.Wait() })
	return l
}

func loadKey(instance string) client.Key {
	return client.Key{Namespace: "default", Service: "load", Instance: instance}
}

// round writes one name and reads it in three ways.
func (l *load) round(ctx context.Context, c *client.Client, by registrar, instance string, n int) {
	var r client.Registration
	l.call(ctx, "register "+instance, func() (err error) {
		r, _, err = by.Register(ctx, client.Registration{
			Key: loadKey(instance), Metadata: client.Metadata(fmt.Sprintf(`{"n":%d}`, n)),
		}, client.Write{})
		return err
	})
	if r.Revision == 0 {
		return // nobody was told that it was written
	}
	l.mu.Lock()
	l.written[instance] = r.Revision
	l.mu.Unlock()
	l.call(ctx, "look up "+instance, func() error {
		got, _, err := c.Lookup(ctx, loadKey(instance), client.Read{})
		if err == nil && got.Revision < r.Revision {
			err = fmt.Errorf("it is of %d and was written at %d", got.Revision, r.Revision)
		}
		return err
	})
	l.call(ctx, "list", func() error {
		page, _, err := c.List(ctx, client.Query{Scope: client.Scope{Namespace: "default", Service: "load"}, Limit: 10})
		if err == nil && len(page.Registrations) == 0 {
			err = errors.New("an empty list")
		}
		return err
	})
}

func (l *load) call(ctx context.Context, what string, f func() error) {
	begun := time.Now()
	err := f()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	l.longest = max(l.longest, time.Since(begun))
	if err != nil && ctx.Err() == nil {
		l.failed = append(l.failed, fmt.Errorf("%s, after %v: %w", what, time.Since(begun), err))
	}
}

// halt ends the load and its clients at once, whatever it is doing.
func (l *load) halt() {
	l.stop()
	for _, c := range l.clients {
		_ = c.Close()
	}
	l.wg.Wait()
}

// calls returns how many calls have ended.
func (l *load) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// end ends the load and fails the test if any call failed, or too few were made.
func (l *load) end(t *testing.T, atLeast int) {
	t.Helper()
	l.stop()
	l.wg.Wait()
	t.Logf("%d calls, the longest took %v", l.done, l.longest.Round(time.Millisecond))
	for _, err := range l.failed[:min(len(l.failed), 10)] {
		t.Errorf("%d calls failed, such as: %v", len(l.failed), err)
	}
	if l.done < atLeast {
		t.Errorf("%d calls were made; want at least %d for it to count", l.done, atLeast)
	}
}

// replaceAll restarts the nodes one after another, as the operations page says: each when
// the one before is whole again.
func (f *fleet) replaceAll(t *testing.T, change func(*member)) {
	t.Helper()
	for _, m := range slices.Clone(f.nodes) {
		if code := m.terminate(t); code != 0 {
			t.Errorf("%s: exit code after SIGTERM = %d; want 0\n%s", m.name, code, m.stderr.String())
		}
		change(m)
		m.again(t)
		f.awaitWhole(t)
	}
}

// A rolling restart, and a rolling upgrade, which to the others is the same: no call of the
// Go client fails, and each node leaves in order.
func TestARollingRestartUnderLoadFailsNoCall(t *testing.T) {
	if testing.Short() { // the short cluster test restarts one node
		return
	}
	t.Parallel()
	f := newFleet(t, 3)
	f.start(t)
	l := startLoad(t, f.url(), 8, "")
	f.replaceAll(t, func(m *member) { m.args = []string{"--lease-hold-minimum", "11"} })
	l.end(t, 500)
	for _, m := range f.nodes {
		if got := must(t, f.url(), "count", "load"); got == "0\n" {
			t.Errorf("nothing is registered after %s", m.name)
		}
	}
}

// Each node is killed in turn, whatever its part is. NATS takes some seconds for another
// leader of a stream, and calls wait for it.
func TestAKillOfEachNodeInTurnUnderLoadFailsNoCall(t *testing.T) {
	if testing.Short() { // the short cluster test kills one
		return
	}
	t.Parallel()
	f := newFleet(t, 3)
	f.start(t)
	l := startLoad(t, f.url(), 8, "")
	for _, m := range slices.Clone(f.nodes) {
		before := l.calls()
		m.kill(t)
		await(t, "calls without "+m.name, func() (bool, string) { return l.calls() > before+100, "" })
		m.again(t)
		f.awaitWhole(t)
	}
	l.end(t, 500)
}

// SIGTERM moves clients on: what is connected to a node that leaves is told to go to
// another, and is there before the node has ended.
func TestANodeThatLeavesSendsItsClientsAwayAndHandsOverWhatItLeads(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	f := newFleet(t, 3)
	f.start(t)
	reports := f.reports(t, f.url())
	leaving := f.nodes[slices.IndexFunc(f.nodes, func(m *member) bool {
		return m.name == reports["n1"].Cluster.Streams[0].Leader
	})]
	c, err := client.Connect(t.Context(), "nats://"+leaving.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, _, err := c.Register(t.Context(), client.Registration{Key: loadKey("i-1")}, client.Write{}); err != nil {
		t.Fatal(err)
	}
	leaving.signal(t, syscall.SIGTERM)
	begun := time.Now()
	if _, _, err := c.Update(t.Context(), loadKey("i-1"), client.Change{Weight: new(uint16(7))}, client.Write{}); err != nil {
		t.Errorf("a write while its node leaves: %v", err)
	}
	t.Logf("a write as its node leaves took %v", time.Since(begun).Round(time.Millisecond))
	if code := leaving.wait(t); code != 0 {
		t.Errorf("exit code = %d; want 0", code)
	}
	begun = time.Now()
	if _, _, err := c.Update(t.Context(), loadKey("i-1"), client.Change{Weight: new(uint16(8))}, client.Write{}); err != nil {
		t.Errorf("a write when its node has left: %v", err)
	}
	t.Logf("a write when its node has left took %v", time.Since(begun).Round(time.Millisecond))
	left := "nats://" + f.nodes[(slices.Index(f.nodes, leaving)+1)%3].listen
	await(t, "word of another leader", func() (bool, string) { // nodes look every 3 s
		for name, h := range f.reports(t, left) {
			if l := h.Cluster.Streams[0].Leader; l == leaving.name || l == "" {
				return false, fmt.Sprintf("%s says that %q leads", name, l)
			}
		}
		return true, ""
	})
}
