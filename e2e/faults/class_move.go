package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/kvstore/switching"
)

// Spacious is a Deployment with another NATS beside it, where the registry can be moved to.
type Spacious interface {
	Deployment

	// Elsewhere returns the URLs of its servers.
	Elsewhere() []string
}

func ofMoves() []Class {
	const longest = 3 * time.Second
	var all []Class
	add := func(name string, begin func(w *world, pick uint64) func()) {
		all = append(all, Class{name, OfMove, 100 * time.Millisecond, longest, begin})
	}
	add("move", func(w *world, _ uint64) func() { return w.move("", "", nil) })
	add("move-away", func(w *world, _ uint64) func() {
		var urls []string
		if d, ok := w.d.(Spacious); ok {
			urls = d.Elsewhere()
		}
		return w.move(strings.Join(urls, ","), "", nil)
	})
	add("move-past-stopped", func(w *world, pick uint64) func() {
		n := pickOf(w.d.Nodes(), pick)
		n.Signal(w.tb, syscall.SIGSTOP) // what it has sent arrives in the store that was left
		w.tb.Logf("  %s stands still", n.Name())
		return w.move("", switching.Moved, func(string) func() {
			return func() { n.Signal(w.tb, syscall.SIGCONT) }
		})
	})
	for _, state := range []string{switching.Copying, switching.Pausing, switching.Sealed, switching.Moved} {
		add("kill-mover-"+state, func(w *world, _ uint64) func() {
			return w.move("", state, func(mover string) func() {
				for _, n := range w.d.Nodes() {
					if n.Name() == mover {
						n.Kill(w.tb)
						return func() { n.Start(w.tb) }
					}
				}
				return func() {}
			})
		})
		if state == switching.Moved {
			break
		}
		add("abort-"+state, func(w *world, _ uint64) func() {
			return w.move("", state, func(string) func() {
				ctx, cancel := w.moment()
				defer cancel()
				_, err := w.look.AbortSwitch(ctx, "a test")
				w.tb.Logf("  abort: %v", err)
				return func() {}
			})
		})
	}
	return all
}

// buckets is how many the registry moves about.
const buckets = 3

// move has the registry move to another bucket, of the NATS at url unless that is "", and
// when it is in that state, has it suffer do. What ends that waits until all nodes agree
// where the registry is.
func (w *world) move(url, state string, do func(mover string) func()) (end func()) {
	from := w.log.now()
	q := bus.SwitchRequest{Bucket: w.home.Bucket, NATSURL: url}
	for q.Bucket == w.home.Bucket {
		w.moves++
		q.Bucket = fmt.Sprint(w.subjects.Bucket(), "_", w.moves%buckets)
	}
	began := make(chan struct{})
	go func() {
		defer close(began)
		w.poll("beginning of a move", func() bool {
			ctx, cancel := w.moment()
			defer cancel()
			_, err := w.look.Switch(ctx, q)
			return err == nil || errors.Is(err, client.ErrInvalid) // it is there: an earlier sending was heard
		})
	}()
	undo := func() {}
	if do != nil {
		if r, ok := w.awaitState(w.newest, state); ok {
			w.tb.Logf("  it is carried out by %s and %s", r.Node, r.State)
			undo = do(r.Node)
		} else {
			w.tb.Errorf("no move was seen %s", state)
		}
	}
	return func() {
		undo()
		<-began
		w.settled()
		if w.home.Bucket == q.Bucket {
			add(w.log, &w.log.moves, Window{from, w.log.now()})
		}
		w.tb.Logf("  the registry is at %+v", w.home)
	}
}

// awaitState waits until a move that is not the one of before is in that state, or has gone
// beyond it. Nodes learn of that within milliseconds of each other.
func (w *world) awaitState(before, state string) (found bus.Switch, ok bool) {
	order := []string{bus.SwitchCopying, bus.SwitchPausing, bus.SwitchSealed, bus.SwitchMoved, bus.SwitchDone, bus.SwitchAborted}
	wanted := slices.Index(order, state)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		if r, told := w.status(); told && r.Switch != nil && r.Switch.ID != before && slices.Index(order, r.Switch.State) >= wanted {
			return *r.Switch, true
		}
	}
	return found, false
}

// status asks some node, which may stand still, how the newest move is.
func (w *world) status() (*bus.SwitchReply, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.tb.Context()), 300*time.Millisecond)
	defer cancel()
	r, err := w.look.SwitchStatus(ctx)
	return r, err == nil
}

// settled waits until no move is under way and every node is where the others are.
func (w *world) settled() {
	var last map[string]*bus.SwitchReply
	w.poll("agreement where the registry is", func() bool {
		last = map[string]*bus.SwitchReply{}
		for range 20 * len(w.d.Nodes()) {
			r, told := w.status()
			if !told {
				return false
			}
			if last[r.Node] = r; len(last) == len(w.d.Nodes()) {
				break
			}
		}
		if len(last) < len(w.d.Nodes()) {
			return false
		}
		for _, r := range last {
			if over := r.Switch == nil || r.Switch.State == bus.SwitchDone || r.Switch.State == bus.SwitchAborted; !over || r.WaitingMs > 0 {
				return false
			}
			for _, other := range last {
				if r.Home != other.Home {
					return false
				}
			}
		}
		return true
	})
	for _, r := range last {
		w.arrive(r)
		return
	}
}

// arrive notes where the registry is.
func (w *world) arrive(r *bus.SwitchReply) {
	if r.Switch != nil {
		w.newest = r.Switch.ID
		w.tb.Logf("  switch %s: %s, %d of %d keys, writes waited for %d ms, %s", r.Switch.ID, r.Switch.State, r.Switch.Copied, r.Switch.Keys, r.Switch.PauseMs, r.Switch.Reason)
	}
	w.home = r.Home
}
