package journal

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/roostbus/roost/kvstore"
)

const (
	// gather is how long a Recorder gathers changes that come one after the other.
	gather = 100 * time.Millisecond
	// aliveEvery is how often it is said that nothing has happened.
	aliveEvery = 5 * time.Minute
	// forgetful is after which time without a record a removal may have been forgotten by
	// the store, unseen.
	forgetful = 30 * time.Minute
	// patience bounds one use of the Log.
	patience = 10 * time.Second
	// lookShare is into how many parts a Recorder that does not go first parts the time for
	// which it holds back: after the first it looks whether there is anything to hold still.
	lookShare = 3
	// maxPause is the longest pause after failures.
	maxPause = 5 * time.Second
)

// Run records until ctx is done, over every failure of the Log.
func (r *Recorder) Run(ctx context.Context) error {
	known, pause := false, gather
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		err := r.turn(ctx, &known)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.note(ctx, err)
		if err != nil {
			known, pause = false, min(2*pause, maxPause)
			continue
		}
		pause = gather
		if !r.busy() {
			r.idle(ctx)
		}
	}
}

// idle waits until there is something to record, or to say that there is nothing.
func (r *Recorder) idle(ctx context.Context) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-timer.C:
	}
}

func (r *Recorder) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held) > 0
}

// note keeps and logs how recording goes, when that changes.
func (r *Recorder) note(ctx context.Context, err error) {
	r.mu.Lock()
	was := r.status.Failing
	r.status.Failing = err
	dropped := r.status.Dropped
	r.mu.Unlock()
	switch {
	case err != nil && was == nil:
		r.logger.LogAttrs(ctx, slog.LevelWarn, "history is not recorded", slog.Any("err", err))
	case err == nil && was != nil:
		r.logger.LogAttrs(ctx, slog.LevelInfo, "history is recorded again", slog.Uint64("dropped", dropped))
	}
}

// turn records what is held, as far as it is this node's turn to.
func (r *Recorder) turn(ctx context.Context, known *bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	epoch, decided := r.epochs.Current()
	if !decided || !r.due(r.behind/lookShare) {
		return nil
	}
	if !*known || !r.first() {
		if err := r.look(ctx); err != nil {
			return err
		}
		*known = true
	}
	for r.due(r.behind) {
		records := r.records(epoch)
		if len(records) == 0 {
			return nil
		}
		r.mu.Lock()
		at := r.place
		r.mu.Unlock()
		place, err := r.log.Append(ctx, at, records)
		switch {
		case errors.Is(err, ErrConflict):
			if err := r.look(ctx); err != nil {
				return err
			}
			if !r.first() {
				return nil // another one is at it
			}
		case err != nil:
			return err
		default:
			r.reached(place)
			// What came meanwhile is gathered first: a batch costs the store as much as
			// hundreds of records do.
			if final := len(records) - 1; final+1 < MaxAppend && records[final].Kind == Change {
				return nil
			}
		}
	}
	return nil
}

// due reports whether anything is to be done now, which for one that does not go first is
// when it has held something for so long.
func (r *Recorder) due(behind time.Duration) bool {
	first := r.first()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.snapshot || r.in == "":
		return false
	case len(r.held) > 0:
		return first || time.Since(r.held[0].came) >= behind
	}
	wait := aliveEvery
	if !first {
		wait *= 2
	}
	return r.place.Sequence == 0 || time.Since(r.place.Time) >= wait
}

// look learns how far the Log has come.
func (r *Recorder) look(ctx context.Context) error {
	place, err := r.log.Last(ctx)
	if err != nil {
		return err
	}
	r.reached(place)
	return nil
}

// reached takes out what has been recorded.
func (r *Recorder) reached(place Place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.place = place
	for len(r.held) > 0 {
		i := &r.held[0]
		past := i.generation != r.in && place.Generation == r.in // of a life that is over
		if !past && !place.covers(i.generation, i.entry.Revision) {
			break
		}
		r.bytes -= i.size()
		r.held = r.held[1:]
	}
	if len(r.held) == 0 {
		r.held = nil // and the memory of what was held
	}
	if place.covers(r.in, r.dropped) {
		r.dropped = 0
	}
}

// records returns what to append next, at r.place.
func (r *Recorder) records(epoch uint32) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.snapshot {
		return nil
	}
	now := time.Now().UTC()
	of := func(kind Kind, revision uint64) Record {
		return Record{Kind: kind, Epoch: epoch, Generation: r.in, Entry: kvstore.Entry{Revision: revision, Time: now}}
	}
	switch {
	case r.place.Sequence == 0:
		// What there is has no history; it begins now.
		return []Record{of(Begin, r.upTo)}
	case len(r.held) > 0 && r.held[0].generation == r.place.Generation && r.place.Generation != r.in:
		return r.changes(epoch, of) // the last of a life that is over
	case r.place.Generation != r.in:
		return []Record{of(Anew, 0)}
	case r.place.Epoch < epoch && r.place.Revision > r.upTo:
		return []Record{of(Anew, r.upTo)} // it fell back
	case len(r.held) == 0:
		return r.alive(now, of)
	}
	return r.changes(epoch, of)
}

// alive returns what to say where nothing has happened for a while. r.mu is held.
func (r *Recorder) alive(now time.Time, of func(Kind, uint64) Record) []Record {
	switch since := now.Sub(r.place.Time); {
	case since > forgetful && r.upTo > r.place.Revision:
		gap := of(Gap, r.upTo)
		gap.From, gap.To = r.place.Revision, r.upTo
		return []Record{gap}
	case since >= aliveEvery:
		return []Record{of(Alive, r.upTo)}
	}
	return nil
}

// changes returns the next of what is held, behind a gap where something is missing before
// it. r.mu is held.
func (r *Recorder) changes(epoch uint32, of func(Kind, uint64) Record) (records []Record) {
	revision, generation := r.place.Revision, r.held[0].generation
	if end := r.missing(); end > revision {
		gap := of(Gap, revision)
		gap.Generation, gap.From, gap.To = generation, revision, end
		records = append(records, gap)
	}
	for i := range r.held {
		one := &r.held[i]
		if len(records) == MaxAppend || one.generation != generation {
			break
		}
		switch {
		case one.live:
			revision = max(revision, one.entry.Revision)
			records = append(records, of(Alive, revision))
		case one.entry.Revision > revision: // else it is a repetition
			revision = one.entry.Revision
			records = append(records, Record{Kind: Change, Epoch: epoch, Generation: one.generation, Entry: one.entry})
		}
	}
	return records
}

// missing returns up to which revision changes may be missing before or among what is
// held; 0 if none are. r.mu is held.
func (r *Recorder) missing() (end uint64) {
	long := time.Since(r.place.Time) > forgetful
	merged := false
	for i := range r.held {
		one := &r.held[i]
		switch {
		case one.generation != r.held[0].generation, r.place.covers(one.generation, one.entry.Revision):
		case one.live && (merged || long):
			end = max(end, one.entry.Revision)
		case one.merged:
			merged = true
			end = max(end, one.entry.Revision)
		}
	}
	return max(end, r.dropped)
}
