package switching

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

const (
	// tick is how often there is a look at the clock.
	tick = 250 * time.Millisecond
	// silence is how long a move may stand still before any node aborts it.
	silence = 10 * time.Second
	// probe is how often a node writes something by which the others know that it lives.
	probe = 2 * time.Second
	// drain is how long writes that are under way may take before a node says that it
	// pauses: they count or do not by themselves, and it is better if they do.
	drain = 500 * time.Millisecond
	// linger is how long a store that was left stays open for what was being read from it.
	linger = 30 * time.Second
	// again is how long an answer may take to be seen by the one who gave it.
	again = time.Second
	// effort bounds one write of a record.
	effort = 5 * time.Second
)

// Run answers for this node in moves, aborts those whose node has gone, and carries out
// those that were started here, until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	running := s.running
	s.running = true
	s.mu.Unlock()
	if running {
		return errors.New("switching: is running already")
	}
	var tasks sync.WaitGroup
	defer func() {
		tasks.Wait()
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
	}()
	tasks.Go(func() { s.live(ctx) })
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		s.tend(ctx)
		select {
		case m := <-s.orders:
			tasks.Go(func() { s.carry(ctx, m) })
		case <-s.wake:
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("switch: %w", ctx.Err())
		}
	}
}

// live has the other nodes know that this one lives.
func (s *Store) live(ctx context.Context) {
	ticker := time.NewTicker(probe)
	defer ticker.Stop()
	for {
		h := s.current()
		if time.Since(s.base)-time.Duration(h.probed.Load()) >= probe {
			try, cancel := context.WithTimeout(ctx, effort)
			_, _ = s.Barrier(try) // the next one tells as much
			cancel()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// tend does what the record asks of this node.
func (s *Store) tend(ctx context.Context) {
	s.mu.Lock()
	h, r, since, shutAt, shutBeat := s.home, s.record, s.seenAt, s.shutAt, s.shutBeat
	mine := s.own != nil && s.own.id == r.ID
	answered := s.answers[s.Node]
	if time.Since(s.answeredAt) < again {
		answered = s.answer
	}
	shut := s.shut
	var free []*home
	for i := 0; i < len(s.left); {
		if s.left[i].flights.Load() > 0 || s.own != nil || time.Since(s.left[i].leftAt) < linger {
			i++
			continue
		}
		free = append(free, s.left[i])
		s.left = append(s.left[:i], s.left[i+1:]...)
	}
	s.mu.Unlock()
	for _, old := range free {
		if err := old.Free(); err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "the store that was left does not close", slog.Any("err", err))
		}
	}
	var err error
	switch {
	case r.active() && !mine && r.Node == s.Node && r.Instance != s.instance:
		err = s.giveUp(ctx, h, r.ID, "the process that carried it out has ended")
	case r.active() && !mine && time.Since(since) > silence:
		err = s.giveUp(ctx, h, r.ID, fmt.Sprintf("node %s, which carries it out, was not heard for %v", r.Node, silence))
	case shut && r.State == Pausing && (answered.ID != r.ID || answered.Beats < shutBeat) &&
		(h.flights.Load() == 0 || time.Since(shutAt) > drain):
		err = s.reply(ctx, h, &r)
	case !r.active() && slices.ContainsFunc(r.strays(), s.settles):
		err = s.settle(ctx)
	case r.State == Incoming || h.id != "" && r.ID == "":
		err = s.arrived(ctx, h)
	}
	if err != nil && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelDebug, "a record of a switch was not written", slog.Any("err", err))
	}
}

// reply says that this node pauses.
func (s *Store) reply(ctx context.Context, h *home, r *Record) error {
	ctx, cancel := context.WithTimeout(ctx, effort)
	defer cancel()
	cell := kvstore.CellAt[answer](h.Store, answerPrefix+s.Node)
	_, at, err := cell.Get(ctx)
	if err != nil {
		return err
	}
	a := answer{ID: r.ID, Instance: s.instance, Beats: r.Beats}
	if _, err = cell.Set(ctx, a, at, kvstore.Labels{}); err == nil {
		s.mu.Lock()
		s.answer, s.answeredAt = a, time.Now()
		s.mu.Unlock()
	}
	return err
}

// arrived says in the store that was moved to that it is one now.
func (s *Store) arrived(ctx context.Context, h *home) error {
	return s.amend(ctx, h, func(r *Record) error {
		if r.State != Incoming {
			return errAsIs
		}
		r.State = Arrived
		return nil
	})
}

// giveUp aborts the move of that id.
func (s *Store) giveUp(ctx context.Context, h *home, id, reason string) error {
	err := s.amend(ctx, h, func(r *Record) error {
		switch {
		case r.ID != id || r.State == Aborted:
			return errAsIs
		case !r.active():
			return ErrCommitted
		}
		r.State, r.Reason = Aborted, reason
		return nil
	})
	if err == nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "switch aborted", slog.String("move", id), slog.String("cause", reason))
	}
	return err
}

// errAsIs means that the record needs no change.
var errAsIs = errors.New("as it is")

// amend changes the record in h from what it is.
func (s *Store) amend(ctx context.Context, h *home, change func(*Record) error) error {
	ctx, cancel := context.WithTimeout(ctx, effort)
	defer cancel()
	cell := kvstore.CellAt[Record](h.Store, Key)
	for {
		r, at, err := cell.Get(ctx)
		if err != nil {
			return err
		}
		if err := change(&r); err != nil {
			if errors.Is(err, errAsIs) {
				return nil
			}
			return err
		}
		r.Beats++
		if _, err = cell.Set(ctx, r, at, kvstore.Labels{}); !errors.Is(err, kvstore.ErrConflict) {
			return err
		}
	}
}

// alive returns the nodes that were heard within d.
func (s *Store) alive(d time.Duration) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for node, at := range s.nodes {
		if time.Since(at) < d {
			names = append(names, node)
		}
	}
	return names
}

// missing returns the nodes that live and have not said that they pause.
func (s *Store) missing(id string, beats uint64) (names []string) {
	for _, node := range s.alive(fresh + margin) {
		s.mu.Lock()
		a := s.answers[node]
		s.mu.Unlock()
		if a.ID != id || a.Beats < beats {
			names = append(names, node)
		}
	}
	return names
}
