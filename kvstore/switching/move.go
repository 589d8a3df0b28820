package switching

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
)

const (
	// beat is how often whoever carries out a move says so.
	beat = time.Second
	// patience is how long writes wait for the other nodes to pause.
	patience = 2 * time.Second
	// pause is how long writes wait at the most before the move is given up.
	pause = 30 * time.Second
)

// move is one that this process carries out.
type move struct {
	store *Store
	home  *home
	life  kvstore.Generation // of home
	to    Place
	id    string
	first uint64
	begun time.Time

	announced time.Time // the record of its beginning was acknowledged before
	waits     time.Time // since when writes wait
	pausing   uint64    // the beat that says so

	copier *copier // nil before it copies

	desk chan struct{} // filled by who writes the record

	mu     sync.Mutex
	record Record // as it was last written, at revision at
	at     uint64
	beaten time.Time

	// Guarded by the Store.
	target *Home
	taken  bool // by the feed, which closes it in the end
	over   bool // it was aborted, and nothing more is done
}

// errAborted means that somebody else has aborted the move.
var errAborted = errors.New("it was aborted")

// carry carries m out, or aborts it.
func (s *Store) carry(ctx context.Context, m *move) {
	defer s.forget(m)
	log := s.log.With(slog.String("move", m.id), slog.String("bucket", m.to.Bucket))
	log.LogAttrs(ctx, slog.LevelInfo, "switch begins", slog.Uint64("keys", m.record.Keys))
	err := m.run(ctx)
	for err != nil && ctx.Err() == nil {
		gave := s.giveUp(ctx, m.home, m.id, err.Error())
		if gave == nil || errors.Is(gave, ErrCommitted) {
			break
		}
		log.LogAttrs(ctx, slog.LevelWarn, "switch cannot be aborted yet", slog.Any("err", gave))
		_ = sleep(ctx, beat) // then ctx says so
	}
	m.conclude(ctx, log)
}

// run does everything up to the write that decides.
func (m *move) run(ctx context.Context) error {
	target, err := m.store.opener.Make(ctx, m.to, m.first)
	if err != nil {
		return fmt.Errorf("make the new store: %w", err)
	}
	m.store.mu.Lock()
	m.target = &target
	m.store.mu.Unlock()
	incoming := m.record
	incoming.State = Incoming
	at, err := kvstore.CellAt[Record](target.Store, Key).Set(ctx, incoming, 0, kvstore.Labels{})
	if err != nil {
		return fmt.Errorf("mark the new store: %w", err)
	}
	if at < m.first { // nothing could be written there: every revision would be one of before
		return fmt.Errorf("the revisions of the new store begin at %d, and were to begin at %d", at, m.first)
	}
	c := newCopier(target.Store)
	m.copier = c
	ctx, cancel := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel(nil)
	tasks.Go(func() { _ = m.home.Store.Feed(ctx, c) })
	tasks.Go(func() { m.beat(ctx, cancel) })
	if err := m.copy(ctx, c); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	if err := m.still(ctx); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	timed, stop := context.WithDeadlineCause(ctx, m.waits.Add(pause), errPause)
	defer stop()
	if err := m.seal(timed, c); err != nil {
		return cmp.Or(context.Cause(timed), err)
	}
	return m.commit(timed)
}

var errPause = fmt.Errorf("it was not done within %v of letting writes wait", pause)

// beat says how far m is until ctx is done, and ends it where somebody has aborted it.
func (m *move) beat(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := m.say(ctx, nil); errors.Is(err, errAborted) {
			cancel(err)
			return
		}
	}
}

// say writes the record with what change has made of it; where change is nil, only if that
// is due.
func (m *move) say(ctx context.Context, change func(r *Record)) error {
	ctx, cancel := context.WithTimeout(ctx, effort)
	defer cancel()
	select {
	case m.desk <- struct{}{}:
		defer func() { <-m.desk }()
	case <-ctx.Done():
		return fmt.Errorf("say how far the switch is: %w", context.Cause(ctx))
	}
	r, beaten := m.said()
	switch {
	case change != nil:
		change(&r)
	case time.Since(beaten) < beat || r.State == Moved:
		return nil
	}
	r.Beats++
	r.Copied, r.Keys = m.copier.progress()
	at, err := kvstore.CellAt[Record](m.home.Store, Key).Set(ctx, r, m.at, kvstore.Labels{})
	switch {
	case errors.Is(err, kvstore.ErrConflict):
		return errAborted
	case err != nil:
		return fmt.Errorf("say how far the switch is: %w", err)
	}
	if r.State == Sealed && r.Sealed == 0 {
		r.Sealed = at
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record, m.at, m.beaten = r, at, time.Now()
	return nil
}

// said returns the record as it was last written, and when.
func (m *move) said() (Record, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record, m.beaten
}

// copy brings the new store near enough to the old one that the rest is a moment's work.
func (m *move) copy(ctx context.Context, c *copier) error {
	for round := range 3 { // what comes in during one is less in the next
		info, err := m.home.Store.Info(ctx)
		if err != nil {
			return fmt.Errorf("look at the store that is left: %w", err)
		}
		if err := c.pump(ctx, info.Last, false); err != nil {
			return err
		}
		if round > 0 {
			continue
		}
		if err := copyCounters(ctx, m.home.Counters, m.target.Counters, m.id+"-early"); err != nil {
			return err
		}
		if err := c.verifyAtLeisure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// still has every node's writes wait. It returns when it is sure that nothing counts any
// more that is written after a seal.
func (m *move) still(ctx context.Context) error {
	for {
		sure := time.Since(m.announced) > fresh+margin
		m.waits = time.Now()
		if err := m.say(ctx, func(r *Record) { r.State, m.pausing = Pausing, r.Beats+1 }); err != nil {
			return err
		}
		missing := m.await(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case len(missing) == 0 || sure:
			return nil
		}
		names := strings.Join(missing, ", ")
		m.store.log.LogAttrs(ctx, slog.LevelWarn, "a node does not pause; writes go on meanwhile",
			slog.String("move", m.id), slog.String("node", names))
		if err := m.say(ctx, func(r *Record) { r.State, r.Reason = Copying, "waiting for "+names }); err != nil {
			return err
		}
		// Either they live and pause next time, or they count as gone before long, or what
		// they write does not count by itself any more.
		if err := sleep(ctx, min(patience, max(time.Until(m.announced.Add(fresh+margin)), tick))); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await returns the nodes that do not say in time that they pause.
func (m *move) await(ctx context.Context) (missing []string) {
	for until := m.waits.Add(patience); ; {
		if missing = m.store.missing(m.id, m.pausing); len(missing) == 0 || time.Now().After(until) {
			return missing
		}
		select {
		case <-time.After(tick / 25):
		case <-ctx.Done():
			return missing
		}
	}
}

// seal has nothing count any more that is written, and completes the new store.
func (m *move) seal(ctx context.Context, c *copier) error {
	if err := m.say(ctx, func(r *Record) { r.State, r.Reason = Sealed, "" }); err != nil {
		return err
	}
	r, _ := m.said()
	at := r.Sealed
	if err := c.pump(ctx, at, true); err != nil {
		return err
	}
	if err := copyCounters(ctx, m.home.Counters, m.target.Counters, m.id+"-last"); err != nil {
		return err
	}
	if err := c.verifyRest(ctx); err != nil {
		return err
	}
	info, err := m.target.Store.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at the copy: %w", err)
	}
	c.mu.Lock()
	number := c.number
	c.mu.Unlock()
	if err := epoch.Raise(ctx, m.target.Store, info.Generation, number); err != nil {
		return fmt.Errorf("begin an epoch in the new store: %w", err)
	}
	if err := m.store.amend(ctx, &home{Home: *m.target}, func(r *Record) error {
		r.Copied, r.Keys = c.progress()
		r.PauseMs, r.Sealed = time.Since(m.waits).Milliseconds(), at
		return nil
	}); err != nil {
		return fmt.Errorf("mark the new store: %w", err)
	}
	if err := m.store.opener.Publish(ctx, m.to, true); err != nil {
		return fmt.Errorf("publish the changes of the new store: %w", err)
	}
	return nil
}

// commit makes the write that decides. What comes of it where that is not known the feed
// shows.
func (m *move) commit(ctx context.Context) error {
	if m.home.place.Kind == Memory {
		// The record ends with the process.
		if err := m.store.opener.Remember(m.to); err != nil {
			return fmt.Errorf("remember where the registry lies: %w", err)
		}
	}
	return m.say(ctx, func(r *Record) { r.State = Moved })
}

// conclude waits for what became of m and cleans up after it.
func (m *move) conclude(ctx context.Context, log *slog.Logger) {
	s := m.store
	moved, err := m.outcome(ctx)
	switch {
	case err != nil:
		return // the next process finds the record
	case moved:
		log.LogAttrs(ctx, slog.LevelInfo, "switch done", slog.Duration("took", time.Since(m.begun)))
		if err := s.opener.Publish(ctx, m.home.place, false); err != nil {
			log.LogAttrs(ctx, slog.LevelWarn, "the store that was left still publishes its changes", slog.Any("err", err))
		}
		return
	}
	log.LogAttrs(ctx, slog.LevelInfo, "switch rolled back")
	if m.home.place.Kind == Memory {
		if err := s.opener.Remember(m.home.place); err != nil {
			log.LogAttrs(ctx, slog.LevelWarn, "the node does not remember where the registry lies", slog.Any("err", err))
		}
	}
	s.mu.Lock()
	target := m.target
	s.mu.Unlock()
	if target != nil {
		if err := s.opener.Delete(ctx, m.to); err != nil {
			log.LogAttrs(ctx, slog.LevelWarn, "the copy is not deleted", slog.Any("err", err))
		}
		_ = target.Free()
	}
	s.mu.Lock()
	m.over = true
	s.mu.Unlock()
	for s.settle(ctx) != nil && sleep(ctx, beat) == nil { //nolint:revive // until that is known
	}
}

// outcome waits until the feed has shown what became of m.
func (m *move) outcome(ctx context.Context) (moved bool, err error) {
	s := m.store
	m.mu.Lock()
	at := m.at
	m.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.home != m.home && s.home.id == m.id:
			return true, nil
		case s.record.ID == m.id && s.record.State == Aborted:
			return false, nil
		case s.home != m.home, s.home.life != m.life, s.record.ID != m.id && s.at > at:
			return false, nil // it was given up, and other moves have begun since
		}
		if err := s.wait(ctx); err != nil {
			return false, err
		}
	}
}
