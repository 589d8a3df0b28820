package durable

import (
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/kvstore/epoch"
)

// reading is what was read of the store at one moment.
//
// The server that answered had come at least as far as this node's feed. It may have come
// further, but of the endings of leases this node knows no more than its feed has shown,
// so a reading reaches to revision: what it has beyond that is newer of single keys.
type reading struct {
	place
	revision backend.Revision
	age      time.Duration // of revision
	records  []Record
	endings  []backend.Ending // of the owners of records
}

// read reads what patterns match, as new as read asks and as revision least of read.Epoch.
func (b *Backend) read(ctx context.Context, read backend.Read, least backend.Revision, patterns ...string) (*reading, error) {
	if err := b.begin(ctx, read); err != nil {
		return nil, err
	}
	least = max(least, read.MinRevision)
	patterns = append(patterns, epoch.Key)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if err := b.feed.Serving(); err != nil {
			return nil, err
		}
		at := b.feed.place()
		if least > 0 && read.Epoch != 0 && read.Epoch != at.epoch {
			return nil, elsewhere(read.Epoch, at.epoch)
		}
		r, err := b.try(ctx, at, least, patterns)
		if err != nil {
			return nil, err
		}
		if r != nil {
			return r, b.feed.Young(read, r.age)
		}
		// The store is another one than this node knows, or in another epoch, which its feed
		// is about to show.
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// begin fails a call whose context is done already, and makes a linearizable one wait.
func (b *Backend) begin(ctx context.Context, read backend.Read) error {
	if ctx.Err() != nil {
		return unavailable(context.Cause(ctx))
	}
	if err := b.feed.Serving(); err != nil {
		return err
	}
	if read.Consistency == backend.Linearizable {
		return b.feed.Sync(ctx)
	}
	return nil
}

// try reads once. It returns nil if what it found is not of the place that was served when
// it began, and still is.
func (b *Backend) try(ctx context.Context, at place, least backend.Revision, patterns []string) (*reading, error) {
	if err := b.tail.Wait(ctx, uint64(least)); err != nil {
		return nil, unavailable(err)
	}
	r := &reading{place: at, age: b.tail.Age()} // the age first: what comes in between is newer
	from := b.tail.Revision()
	r.revision = backend.Revision(from)
	scanned, err := b.store.Scan(ctx, patterns, from)
	if err != nil {
		return nil, translate(err)
	}
	proven := false
	r.records = make([]Record, 0, len(scanned.Entries))
	for _, e := range scanned.Entries {
		if e.Key == epoch.Key {
			number, generation := epoch.Of(e)
			proven = backend.Epoch(number) == at.epoch && generation == at.generation
			continue
		}
		record, err := Parse(e)
		if err != nil {
			logForeign(ctx, b.log, e, err)
			continue
		}
		r.records = append(r.records, record)
	}
	if now := b.feed.place(); !proven || now.epoch != at.epoch || now.generation != at.generation {
		return nil, nil
	}
	r.end(b.feed.owners)
	return r, nil
}

// end finds out which of the owners of what was read have ended.
func (r *reading) end(o *owners) {
	seen := map[string]bool{}
	for i := range r.records {
		owner := r.records[i].Registration.Owner
		if owner == "" || r.records[i].Removed || seen[owner] {
			continue
		}
		if ending, ok := o.endingOf(&r.records[i], r.revision); ok {
			seen[owner] = true
			r.endings = append(r.endings, ending)
		}
	}
}

// state returns the state of the one key that was read.
func (r *reading) state() (s rules.State) {
	s.Epoch = r.epoch
	if len(r.records) > 0 {
		record := &r.records[0]
		s.Present, s.Alive = !record.Removed, !record.Removed && len(r.endings) == 0
		s.Registration, s.Operation, s.Revision = record.Registration, record.Operation, record.Revision
	}
	if s.Revision == 0 {
		s.Seen = r.revision
	}
	return s
}

func (r *reading) stamp() backend.Stamp {
	return backend.Stamp{Revision: r.revision, Epoch: r.epoch, Age: r.age}
}

// collect puts what was read into a view.
func (r *reading) collect(into *view.Rebuild) {
	for i := range r.records {
		into.Apply(r.records[i].change())
	}
	for _, e := range r.endings {
		into.End(e)
	}
}

func (r *reading) snapshot() view.Snapshot {
	floor := r.floor
	if floor > r.revision {
		floor = 0
	}
	return view.Snapshot{Epoch: r.epoch, Revision: r.revision, Floor: floor}
}

// view returns a view of what was read, which answers as one does that follows the store.
func (r *reading) view() *view.View {
	v := view.New(0)
	shadow := v.Rebuild()
	r.collect(shadow)
	shadow.Commit(r.snapshot())
	return v
}

func elsewhere(asked, current backend.Epoch) error {
	return fmt.Errorf("%w: a revision of epoch %d was asked for in epoch %d", backend.ErrCompacted, asked, current)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return unavailable(context.Cause(ctx))
	}
}
