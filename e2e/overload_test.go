package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/e2e/natstest"
)

// overloadLimit is how many requests may be in hand in the tests of overload.
const overloadLimit = 32

// narrow is a Backend that registers one after the other, each taking so long.
func narrow(b backend.Backend, each time.Duration) backend.Backend {
	var mu sync.Mutex
	return &wiretap{Backend: b, register: func(context.Context, backend.Key) error {
		mu.Lock()
		defer mu.Unlock()
		time.Sleep(each) // a disk that syncs
		return nil
	}}
}

// put registers name over nc. It returns the code of a failure.
func put(ctx context.Context, nc *nats.Conn, verb, name string) (bus.Code, error) {
	reply, err := nc.RequestWithContext(ctx, bus.DefaultPrefix+".registry."+verb+".default.load."+name, []byte("{}"))
	if err != nil {
		return "", err
	}
	if number := reply.Header.Get("Nats-Service-Error-Code"); number != "" {
		return bus.ParseError(number, reply.Header.Get("Nats-Service-Error"), reply.Data).Code, nil
	}
	return "", nil
}

// crowd asks much more than a registry can do.
type crowd struct {
	mu                sync.Mutex
	accepted, refused map[string]bool
	all               sync.WaitGroup
	stop              context.CancelFunc
}

// gather has callers of each connection register names of their own until stop is called,
// each the next one as soon as it is answered.
func gather(t *testing.T, callers int, connections ...*nats.Conn) *crowd {
	t.Helper()
	c := &crowd{accepted: map[string]bool{}, refused: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	var numbers atomic.Int64
	for _, nc := range connections {
		for range callers {
			c.all.Go(func() {
				for ctx.Err() == nil {
					name := fmt.Sprint("n", numbers.Add(1))
					bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
					code, err := put(bounded, nc, "register", name)
					cancel()
					if err != nil || code != "" && code != bus.CodeLimitExceeded {
						t.Errorf("register under overload: %s, %v; want success or %s", code, err, bus.CodeLimitExceeded)
						return
					}
					c.mu.Lock()
					if code == "" {
						c.accepted[name] = true
					} else {
						c.refused[name] = true
					}
					c.mu.Unlock()
				}
			})
		}
	}
	return c
}

func (c *crowd) counts() (accepted, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.accepted), len(c.refused)
}

// Overload: much more is asked than can be done. What is too much is refused as such and
// nothing else goes wrong; who asks little, and who gives something up, is not kept out;
// what was accepted is there, what was refused is not, and it is over when the load is.
func TestAnOverloadedNodeRefusesWhatIsTooMuchAndKeepsNobodyOutWhoAsksLittle(t *testing.T) {
	t.Parallel()
	b := wireBackend(t, backend.Nobody)
	w := serveWire(t, narrow(b, time.Millisecond), 0, func(c *server.Config) { c.MaxInFlight = overloadLimit })
	greedy := w.ns.Connect(t)
	c := gather(t, 4*overloadLimit, greedy)
	natstest.Await(t, "overload", func() bool {
		accepted, refused := c.counts()
		return accepted > overloadLimit && refused > overloadLimit || t.Failed()
	})
	modest := w.ns.Connect(t)
	for i := range 50 {
		name := fmt.Sprint("modest", i)
		if code, err := put(t.Context(), modest, "register", name); code != "" || err != nil {
			t.Errorf("register %d of one who asks little: %s, %v", i, code, err)
		}
		if code, err := put(t.Context(), greedy, "unregister", name); code != "" || err != nil {
			t.Errorf("an ending of one who asks much: %s, %v", code, err)
		}
		if n := w.s.Stats().InFlight; n > 2*overloadLimit {
			t.Errorf("%d requests are in hand; want at most twice the limit, which endings may use", n)
		}
	}
	c.stop()
	c.all.Wait()
	if code, err := put(t.Context(), greedy, "register", "after"); code != "" || err != nil {
		t.Errorf("once the load is over: %s, %v", code, err)
	}
	for name := range c.accepted {
		if _, _, err := b.Lookup(t.Context(), backend.Key{Namespace: "default", Service: "load", Instance: name}, backend.Read{}); err != nil {
			t.Errorf("%s was accepted: %v", name, err)
		}
	}
	for name := range c.refused {
		if _, _, err := b.Lookup(t.Context(), backend.Key{Namespace: "default", Service: "load", Instance: name}, backend.Read{}); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s was refused: %v", name, err)
		}
	}
	accepted, refused := c.counts()
	t.Logf("%d accepted and %d refused", accepted, refused)
}
