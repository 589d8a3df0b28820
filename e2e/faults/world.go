package faults

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// world is a run that is going on.
type world struct {
	tb     testing.TB
	d      Deployment
	log    *Log
	guests []*guest

	look     *client.Client // of the test, whose links nobody cuts
	admin    *nats.Conn     // its connection
	subjects bus.Subjects
	home     bus.Place // where that is
	moves    int       // that were begun
	newest   string    // id of a move that is over

	scene, life atomic.Int64
}

// patience is how long anything may take to be again as it should be: servers that were
// cut off elect leaders one after the other.
const patience = 2 * time.Minute

func newWorld(tb testing.TB, d Deployment) *world {
	tb.Helper()
	w := &world{tb: tb, d: d, log: NewLog()}
	nc := dial(tb, d.URLs())
	w.admin = nc
	var err error
	if w.subjects, err = bus.NewSubjects(d.Prefix()); err != nil {
		tb.Fatal(err)
	}
	w.home = bus.Place{Kind: "bucket", Bucket: w.subjects.Bucket()}
	if w.look, err = client.New(nc, client.WithPrefix(d.Prefix()), client.WithReadTimeout(2*time.Second), client.WithWriteTimeout(2*time.Second)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = w.look.Close() })
	hearMotions(tb, nc, w.subjects, w.log)
	return w
}

// stream is the bucket's.
func (w *world) stream() string { return "KV_" + w.home.Bucket }

// moment is how long one question may take that is asked again.
func (w *world) moment() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(w.tb.Context()), 2*time.Second)
}

// poll waits until is reports true. What does not come in time is wrong, and the run goes on.
func (w *world) poll(what string, is func() bool) bool {
	for deadline := time.Now().Add(patience); !is(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.tb.Errorf("no %s after %v", what, patience)
			return false
		}
		w.d.Revive(w.tb)
	}
	return true
}

// report asks any node how it is.
func (w *world) report() (*bus.HealthReply, bool) {
	ctx, cancel := w.moment()
	defer cancel()
	r, err := w.look.Report(ctx)
	return r, err == nil
}

func pickOf[M Member](all []M, pick uint64) M { return all[pick%uint64(len(all))] }

// keeper waits for one and returns its node.
func (w *world) keeper(pick uint64) Member {
	var found Member
	w.poll("keeper", func() bool {
		r, ok := w.report()
		if !ok || r.Keeper == nil {
			return false
		}
		for _, n := range w.d.Nodes() {
			if n.Name() == r.Keeper.Node {
				found = n
			}
		}
		return found != nil
	})
	if found == nil {
		return pickOf(w.d.Nodes(), pick)
	}
	return found
}

// follower returns a node that is not the keeper, if there is any.
func (w *world) follower(pick uint64) Member { return another(w.d.Nodes(), w.keeper(pick), pick) }

// leader waits for a leader of the bucket's stream and returns its server.
func (w *world) leader(pick uint64) Member {
	found := pickOf(w.d.Servers(), pick)
	if len(w.d.Servers()) == 1 {
		return found
	}
	w.poll("leader of the stream", func() bool {
		r, err := w.jetStream("STREAM.INFO." + w.stream())
		if err != nil || r.Cluster == nil {
			return false
		}
		for _, one := range w.d.Servers() {
			if one.Name() == r.Cluster.Leader {
				found = one
				return true
			}
		}
		return false
	})
	return found
}

// replica returns a server that does not lead the bucket's stream, if there is any.
func (w *world) replica(pick uint64) Member { return another(w.d.Servers(), w.leader(pick), pick) }

func another[M Member](all []M, not Member, pick uint64) Member {
	var left []Member
	for _, m := range all {
		if m.Name() != not.Name() {
			left = append(left, m)
		}
	}
	if len(left) == 0 {
		return not
	}
	return pickOf(left, pick)
}

// epoch waits for a node that knows it.
func (w *world) epoch() (now client.Epoch) {
	w.poll("epoch", func() bool {
		r, ok := w.report()
		if ok {
			now = r.Epoch
		}
		return ok && now != 0
	})
	return now
}

// awaitEpochAfter waits until every node serves a higher epoch.
func (w *world) awaitEpochAfter(before client.Epoch) {
	in := map[string]bool{}
	w.poll("higher epoch at every node", func() bool {
		if r, ok := w.report(); ok {
			in[r.Node] = r.Epoch > before
		}
		for _, n := range w.d.Nodes() {
			if !in[n.Name()] {
				return false
			}
		}
		return true
	})
}
