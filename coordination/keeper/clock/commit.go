package clock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/roostbus/roost/kvstore"
)

// commit ends all in one batch, of which nothing happens once another has taken over.
func (s *session) commit(ctx context.Context, all []ending) {
	writes, err := s.writes(all)
	if err != nil { // the feed has not yet shown what the clock knows, or shows an end
		if !s.seen(ctx) {
			return
		}
		if all = s.living(ctx, all); len(all) == 0 {
			return
		}
		writes, err = s.writes(all)
	}
	if err != nil {
		s.undoAll(all, err)
		return
	}
	var revisions []uint64
	err = s.fenced(ctx, func(ctx context.Context, fence kvstore.Write) ([]uint64, error) {
		var err error
		revisions, err = s.store.Batch(ctx, append([]kvstore.Write{fence}, writes...))
		return revisions, err
	})
	switch {
	case err == nil:
		for i := range all {
			s.finish(&all[i], revisions[i+1])
		}
		s.report(ctx, all)
	case errors.Is(err, kvstore.ErrUnknownOutcome) && !s.certain(ctx):
		// Nothing may be said of them in this session, which is over.
	case errors.Is(err, kvstore.ErrConflict), errors.Is(err, kvstore.ErrUnknownOutcome):
		if s.seen(ctx) {
			s.again(ctx, s.living(ctx, all), len(all), err)
		}
	default:
		s.log.LogAttrs(ctx, slog.LevelDebug, "leases not ended", slog.Int("leases", len(all)), slog.Any("err", err))
		s.undoAll(all, err)
		rest(ctx)
	}
}

// again goes on with those of a batch that live although it should have ended them. Where
// nothing that was seen explains why it was refused, one of them may be what the table does
// not know, a record that somebody has spoilt: it must not keep the others.
func (s *session) again(ctx context.Context, all []ending, were int, err error) {
	if half := len(all) / 2; half > 0 && len(all) == were && errors.Is(err, kvstore.ErrConflict) {
		s.commit(ctx, all[:half])
		s.commit(ctx, all[half:])
		return
	}
	s.undoAll(all, err)
	rest(ctx)
}

// fenced has write write something behind the fence, in this session's term.
func (s *session) fenced(ctx context.Context, write func(ctx context.Context, fence kvstore.Write) ([]uint64, error)) error {
	return s.office.Fenced(ctx, func(ctx context.Context, fence kvstore.Write, term uint64) (uint64, error) {
		if term != s.term {
			return 0, ErrNotKeeper
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		revisions, err := write(ctx, fence)
		if err != nil {
			return 0, err
		}
		return revisions[0], nil
	})
}

// certain returns when no batch of before can happen any more: a later fence stands. It
// reports false when ctx or the tenure is over.
func (s *session) certain(ctx context.Context) bool {
	for {
		err := s.fenced(ctx, func(ctx context.Context, fence kvstore.Write) ([]uint64, error) {
			revision, err := s.store.Write(ctx, fence)
			return []uint64{revision}, err
		})
		if err == nil {
			return s.seen(ctx)
		}
		if errors.Is(err, ErrNotKeeper) || !rest(ctx) {
			return false
		}
	}
}

// seen returns when everything written before has been seen. It reports false when ctx is
// done.
func (s *session) seen(ctx context.Context) bool {
	for s.sync(ctx) != nil {
		if !rest(ctx) {
			return false
		}
	}
	return true
}

var errUnseen = errors.New("the lease is not known to live")

// writes returns the writes that end all.
func (s *session) writes(all []ending) ([]kvstore.Write, error) {
	writes, operation := make([]kvstore.Write, len(all)), rand.Text()
	for i := range all {
		l, ok := s.table.Get(all[i].owner)
		if !ok || l.Ended != "" {
			return nil, errUnseen
		}
		all[i].name = l.Name // the table may have forgotten it when this is done
		var err error
		if writes[i], err = l.Write(l.End(all[i].reason), fmt.Sprintf("%s-%d", operation, i)); err != nil {
			return nil, err
		}
	}
	return writes, nil
}

// living returns those of all that have not ended, as far as the table has seen, and says
// of the others that they have.
func (s *session) living(ctx context.Context, all []ending) (living []ending) {
	var ended []ending
	for i := range all {
		l, ok := s.table.Get(all[i].owner)
		if ok && l.Ended == "" {
			living = append(living, all[i])
			continue
		}
		if ok {
			all[i].reason, all[i].name = l.Ended, l.Name
		}
		s.finish(&all[i], l.Revision)
		ended = append(ended, all[i])
	}
	s.report(ctx, ended)
	return living
}

// finish says that e has ended at revision.
func (s *session) finish(e *ending, revision uint64) {
	sh := s.shard(e.owner)
	sh.mu.Lock()
	s.remove(sh, e.entry)
	sh.mu.Unlock()
	e.under.ended, e.under.revision = true, revision
	close(e.under.done)
}

// undoAll says that all have not ended, because of err. They come up again when they are due.
func (s *session) undoAll(all []ending, err error) {
	for i := range all {
		e := &all[i]
		sh := s.shard(e.owner)
		sh.mu.Lock()
		e.entry.under = nil
		sh.push(e.entry)
		sh.mu.Unlock()
		e.under.err = err
		close(e.under.done)
	}
}

// few are told of one by one.
const few = 10

// report logs the endings of all, which were one batch.
func (s *session) report(ctx context.Context, all []ending) {
	level := slog.LevelInfo
	if len(all) > few {
		level = slog.LevelDebug
		s.log.LogAttrs(ctx, slog.LevelInfo, "leases ended", slog.Int("leases", len(all)),
			slog.Uint64("revision", all[len(all)-1].under.revision), slog.Uint64("term", s.term))
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	for i := range all {
		e := &all[i]
		s.log.LogAttrs(ctx, level, "lease ended", slog.String("owner", e.owner), slog.String("name", e.name),
			slog.String("reason", e.reason), slog.Uint64("revision", e.under.revision), slog.Uint64("term", s.term))
	}
}
