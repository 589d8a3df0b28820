package switching

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Status is how the newest move is, as far as this node knows.
type Status struct {
	// Place is where the node's store lies.
	Place Place
	// Record is that of the newest move from or to there; zero if there was none.
	Record Record
	// Waiting is for how long this node's writes have been waiting; 0 if they do not.
	Waiting time.Duration
	// Nodes are those that were heard of lately.
	Nodes []string
}

// Status returns how the newest move is.
func (s *Store) Status() Status {
	nodes := s.alive(fresh + margin)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Place: s.home.place, Record: s.record, Nodes: nodes}
	if s.shut {
		st.Waiting = time.Since(s.shutAt)
	}
	return st
}

// Plan says what a move to that place would find there, and changes nothing: ErrThere,
// ErrOccupied, ErrStray, ErrInvalid.
func (s *Store) Plan(ctx context.Context, to Place) (here kvstore.Info, there Found, err error) {
	if err := to.check(); err != nil {
		return here, there, err
	}
	s.mu.Lock()
	h, r := s.home, s.record
	s.mu.Unlock()
	if to == h.place {
		return here, there, ErrThere
	}
	if err = r.free(to); err != nil {
		return here, there, err
	}
	if here, err = h.Store.Info(ctx); err != nil {
		return here, there, fmt.Errorf("look at the store that is left: %w", err)
	}
	if there, err = s.opener.Look(ctx, to); err != nil {
		return here, there, fmt.Errorf("look at %s: %w", to.Bucket, err)
	}
	switch r := &there.Record; {
	case !there.Exists, there.Keys == 0 && r.ID == "":
	case r.Registry == s.Registry && (r.State == Moved || r.State == Incoming):
		// Left before, or never completed.
	default:
		return here, there, fmt.Errorf("bucket %s %w: %d keys that are not this registry's of before; "+
			"name another bucket, or delete this one if nobody needs it", to.Bucket, ErrOccupied, there.Keys)
	}
	return here, there, nil
}

// Start begins a move to that place, which [Store.Run] carries out: ErrBusy and the errors
// of Plan.
func (s *Store) Start(ctx context.Context, to Place) (Record, error) {
	here, there, err := s.Plan(ctx, to)
	if err != nil {
		return Record{}, err
	}
	h := s.current()
	m := &move{
		store: s, home: h, to: to, id: strings.ToLower(rand.Text()[:10]), begun: time.Now(), desk: make(chan struct{}, 1),
		first: max(here.Last, there.Record.First)>>stride<<stride + 2<<stride,
	}
	s.mu.Lock()
	if s.own != nil || !s.running {
		running := s.running
		s.mu.Unlock()
		if !running {
			return Record{}, fmt.Errorf("%w: this node does not run", kvstore.ErrUnavailable)
		}
		return Record{}, ErrBusy
	}
	s.own, m.life = m, h.life
	s.mu.Unlock()
	r, err := m.announce(ctx, here.Keys)
	if err != nil {
		s.forget(m)
		return Record{}, err
	}
	select {
	case s.orders <- m:
		return r, nil
	case <-ctx.Done():
		s.forget(m) // whoever looks next at the record gives it up
		return Record{}, fmt.Errorf("%w: %w", kvstore.ErrUnavailable, context.Cause(ctx))
	}
}

// stride is the binary logarithm of how many revisions lie at the least between the last of
// a store and the first of the one that follows it. 2^53 of them can be told in JSON.
const stride = 28

func (s *Store) forget(m *move) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == m {
		s.own = nil
	}
}

// announce writes the record that begins m.
func (m *move) announce(ctx context.Context, keys uint64) (Record, error) {
	cell := kvstore.CellAt[Record](m.home.Store, Key)
	before, at, err := cell.Get(ctx)
	if err != nil {
		return Record{}, err
	}
	if before.active() || before.State == Moved {
		return before, ErrBusy
	}
	if err := before.free(m.to); err != nil {
		return before, err
	}
	m.record = Record{
		ID: m.id, State: Copying, Strays: before.strays(), Registry: m.store.Registry, From: m.home.place, To: m.to,
		Node: m.store.Node, Instance: m.store.instance, First: m.first, Started: m.begun.UTC(), Keys: keys,
	}
	m.at, err = cell.Set(ctx, m.record, at, kvstore.Labels{})
	m.announced = time.Now()
	if errors.Is(err, kvstore.ErrConflict) {
		return before, ErrBusy
	}
	return m.record, err
}

// Abort gives up the move that is under way, whichever node carries it out: ErrNone,
// ErrCommitted.
func (s *Store) Abort(ctx context.Context, reason string) (Record, error) {
	h := s.current()
	r, _, err := kvstore.CellAt[Record](h.Store, Key).Get(ctx)
	if err != nil {
		return Record{}, err
	}
	switch {
	case r.State == Moved:
		return r, ErrCommitted
	case !r.active():
		return r, ErrNone
	}
	if err := s.giveUp(ctx, h, r.ID, reason); err != nil {
		return r, err
	}
	r.State, r.Reason = Aborted, reason
	return r, nil
}
