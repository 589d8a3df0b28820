package keeper

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// contend returns when the node has taken over, or ctx is done.
func (k *Keeper) contend(ctx context.Context) (*tenure, error) {
	var tried uint64        // the revision at which a try has failed
	var notBefore time.Time // of the next at the same
	for {
		now := time.Now()
		asOf := k.asOf(now)
		k.mu.Lock()
		s := k.sight
		k.mu.Unlock()
		v := judge(&s, k.self, k.instance, now, asOf)
		if (v.take || v.prove) && s.revision == tried && now.Before(notBefore) {
			v = verdict{again: notBefore}
		}
		switch {
		case v.take:
			t, err := k.take(ctx, &s, v)
			if err == nil {
				return t, nil
			}
			k.log.LogAttrs(ctx, slog.LevelDebug, "did not become the keeper", slog.Any("err", err))
			tried, notBefore = s.revision, time.Now().Add(pause/2+rand.N(pause)) //nolint:gosec // it spreads tries
			v = verdict{again: notBefore}
		case v.prove:
			if k.prove(ctx) == nil {
				continue
			}
			tried, notBefore = s.revision, time.Now().Add(pause)
			v = verdict{again: notBefore}
		}
		if !k.idle(ctx, v.again) {
			return nil, ctx.Err()
		}
	}
}

// asOf returns a moment so that everything acknowledged before it has been seen. now must
// have been taken before: of a pause in between the age knows.
func (k *Keeper) asOf(now time.Time) time.Time {
	const ages = 24 * time.Hour
	return now.Add(-min(k.tail.Age(), ages))
}

// prove has a message go to the store and come back.
func (k *Keeper) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	return k.tail.Barrier(ctx)
}

// idle waits until there is news, or until again unless that is zero. It reports false
// when ctx is done.
func (k *Keeper) idle(ctx context.Context, again time.Time) bool {
	var timer <-chan time.Time
	if !again.IsZero() {
		timer = time.After(time.Until(again))
	}
	select {
	case <-ctx.Done():
	case <-k.wake:
	case <-timer:
	}
	return ctx.Err() == nil
}

// take writes the node's own record over the one in s.
func (k *Keeper) take(ctx context.Context, s *sight, v verdict) (*tenure, error) {
	a, err := k.draft(Record{
		Node: k.self.Node, Term: s.highest + 1, Instance: k.instance, Place: k.self.Place,
		Counter: s.record.Counter + 1,
	}, s.revision)
	if err != nil {
		return nil, err
	}
	revision, err := k.insist(ctx, a)
	if err != nil {
		return nil, err
	}
	t := &tenure{
		term:   a.record.Term,
		record: a.record, revision: revision, sent: a.sent,
		taken: revision, from: v.from, generation: s.generation,
	}
	k.mu.Lock()
	k.tenure = t
	k.mu.Unlock()
	k.log.LogAttrs(ctx, slog.LevelInfo, "took over as the keeper", slog.Uint64("term", a.record.Term),
		slog.String("cause", v.cause), slog.String("predecessor", s.record.Node))
	return t, nil
}

// insist sends a until its outcome is known or would be of no use.
func (k *Keeper) insist(ctx context.Context, a *attempt) (uint64, error) {
	for {
		revision, err := k.send(ctx, a)
		a.doubt = a.doubt || errors.Is(err, kvstore.ErrUnknownOutcome)
		switch {
		case err == nil && !time.Now().Before(a.sent.Add(Validity)):
			return 0, errLapsed
		case err == nil:
			return revision, nil
		case !a.doubt, errors.Is(err, kvstore.ErrConflict), time.Since(a.sent) >= Validity:
			return 0, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, err
		}
	}
}
