package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// replica is one at work, and one who follows its changes.
type replica struct {
	*client.Replica

	stop func() // idempotent

	mu     sync.Mutex
	folded map[client.Key]client.Revision // what its changes lead to
	wrong  []string
}

// startReplica runs a Replica of what q selects until the test ends, and waits until it is
// ready.
func startReplica(tb testing.TB, c *client.Client, q client.Query, opts ...client.ReplicaOption) *replica {
	tb.Helper()
	r := newReplica(tb, c, q, opts...)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	if err := r.Ready(ctx); err != nil {
		tb.Fatal(err)
	}
	return r
}

func newReplica(tb testing.TB, c *client.Client, q client.Query, opts ...client.ReplicaOption) *replica {
	tb.Helper()
	made, err := client.NewReplica(c, q, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	r := &replica{Replica: made, folded: map[client.Key]client.Revision{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := r.Run(ctx); err != nil && !errors.Is(err, client.ErrClosed) {
			tb.Errorf("Run: %v", err)
		}
	})
	tasks.Go(func() { r.fold(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		tasks.Wait()
	})
	tb.Cleanup(r.stop)
	return r
}

// fold applies the changes, and notes where they lead back within an epoch.
func (r *replica) fold(ctx context.Context) {
	epoch := client.Epoch(0)
	for change, err := range r.Changes(ctx) {
		if err != nil {
			return
		}
		if change.Kind == client.Gap {
			continue
		}
		now := r.State().Stamp.Epoch
		r.mu.Lock()
		key := change.Key()
		if was := r.folded[key]; now == epoch && was >= change.Revision {
			r.wrong = append(r.wrong, fmt.Sprintf("%s goes from %d to %d", key, was, change.Revision))
		}
		epoch = now
		if change.Now == nil {
			delete(r.folded, key)
		} else {
			r.folded[key] = change.Now.Revision
		}
		r.mu.Unlock()
	}
}

// held is what r holds.
func (r *replica) held() map[client.Key]client.Revision {
	state := map[client.Key]client.Revision{}
	for _, found := range r.All() {
		state[found.Key] = found.Revision
	}
	return state
}

// selected is what the registry has of q. Servers that have just come together again may
// elect leaders anew once more; that is waited for.
func selected(tb testing.TB, c *client.Client, q client.Query) map[client.Key]client.Revision {
	tb.Helper()
	q.Consistency = client.Linearizable
	all := func() (map[client.Key]client.Revision, error) {
		state := map[client.Key]client.Revision{}
		for found, err := range c.All(tb.Context(), q) {
			if err != nil {
				return nil, err
			}
			state[found.Key] = found.Revision
		}
		return state, nil
	}
	for deadline := time.Now().Add(patience); ; {
		state, err := all()
		if err == nil {
			return state
		}
		if !errors.Is(err, client.ErrUnavailable) || time.Now().After(deadline) {
			tb.Fatal(err)
		}
	}
}

// exact waits until r holds exactly what the registry has, and its changes lead there.
func (r *replica) exact(tb testing.TB, c *client.Client, q client.Query) {
	tb.Helper()
	want := selected(tb, c, q)
	deadline := time.Now().Add(patience)
	for {
		diff := cmp.Diff(want, r.held())
		if diff == "" {
			r.mu.Lock()
			diff = cmp.Diff(want, r.folded)
			r.mu.Unlock()
		}
		if diff == "" {
			break
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the replica is not exact after %v: %+v (-registry +replica)\n%s", patience, r.State(), diff)
		}
		time.Sleep(5 * time.Millisecond) // nothing announces it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, wrong := range r.wrong {
		tb.Error(wrong)
	}
}

var metadataOfEvens = []client.Metadata{`{"even":true}`, `{"even":false}`}

// scribble makes n changes by chance of some forty registrations.
func scribble(ctx context.Context, c *client.Client, n int) error {
	for range n {
		i := rand.IntN(40)
		r := payments(fmt.Sprintf("i-%d", i))
		r.Metadata, r.Weight = metadataOfEvens[rand.IntN(2)], uint16(rand.IntN(1000))
		var err error
		if rand.IntN(3) == 0 {
			_, _, err = c.Unregister(ctx, r.Key, client.Write{})
		} else {
			_, _, err = c.Register(ctx, r, client.Write{})
		}
		if err != nil && !errors.Is(err, client.ErrUnknownOutcome) {
			return err
		}
	}
	return nil
}

// announceFeed publishes a beacon as a keeper does.
func announceFeed(tb testing.TB, srv *natstest.Server, prefix string, epoch client.Epoch, feed string) {
	tb.Helper()
	body, err := json.Marshal(bus.Beacon{Epoch: epoch, Feed: feed, Keeper: bus.Keeper{Node: "test", Term: 1}})
	if err != nil {
		tb.Fatal(err)
	}
	nc := srv.Connect(tb)
	if err := nc.Publish(prefix+".beacon", body); err != nil {
		tb.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		tb.Fatal(err)
	}
	nc.Close()
}

// bucketOf is the name of the bucket of the registry under prefix.
func bucketOf(tb testing.TB, prefix string) string {
	tb.Helper()
	subjects, err := bus.NewSubjects(prefix)
	if err != nil {
		tb.Fatal(err)
	}
	return subjects.Bucket()
}
