package clock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

const (
	// hands is how many leases are reaped at a time.
	hands = 16
	// lull is how long nothing must have ended for many leases to be reaped, and longest how
	// long they wait for that. Of leases that end together the last would end later for the
	// reaping of the first, and while programs wait for an end, nobody waits for this.
	lull    = 50 * time.Millisecond
	longest = time.Second
	// soonest and latest are the least and the longest pause before another try.
	soonest = 100 * time.Millisecond
	latest  = 10 * time.Second
)

// Reaper takes what ended leases have left out of the store, while its node is the keeper,
// and then their records: a marker remembers each for [lease.Remembered]. What is written
// under one later, by a node that lags behind, is taken out when it turns up.
type Reaper struct {
	options

	store  kvstore.Store
	table  *lease.Table
	office Office
	from   backend.Reaper
	wake   chan struct{}

	mu    sync.Mutex
	fresh bool // a tenure has begun, and what was left before it is not known yet
	jobs  map[string]*job
	ready []*job
	// newest is when the newest ending came, and oldest when the first of those did that
	// have been waiting with it.
	oldest, newest time.Time
	// pausing is how many wait for another try, busy how many are running.
	pausing, busy int
}

// job is one ended lease.
type job struct {
	backend.Ending
	tries   int
	again   bool // something has turned up since it was begun
	running bool
	at      time.Time // of the next try; zero if it is ready or running
}

// NewReaper returns a Reaper that is not yet running, of what from keeps. It observes
// office, which must not run yet.
func NewReaper(store kvstore.Store, table *lease.Table, office Office, from backend.Reaper, opts ...Option) *Reaper {
	r := &Reaper{
		options: optionsOf(opts), store: store, table: table, office: office, from: from,
		wake: make(chan struct{}, 1), jobs: map[string]*job{},
	}
	office.Observe(&keeper.Observer{
		Begun: func(uint64) { r.begin(true) },
		Ended: func(uint64, error) { r.begin(false) },
	})
	return r
}

// begin notes whether there is a tenure.
func (r *Reaper) begin(fresh bool) {
	r.mu.Lock()
	r.fresh = fresh
	r.mu.Unlock()
	notify(r.wake)
}

// Run reaps whenever the node is the keeper, until ctx is done.
func (r *Reaper) Run(ctx context.Context) error {
	defer r.table.OnEnd(r.add)()
	defer r.from.OnVoid(r.add)()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	r.begin(true) // what was left while Run was not running is not known
	ticker := time.NewTicker(soonest)
	defer ticker.Stop()
	for {
		for _, j := range r.take() {
			tasks.Go(func() {
				r.done(j, r.reap(ctx, j.Ending))
				notify(r.wake)
			})
		}
		select {
		case <-r.wake:
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("reap: %w", ctx.Err())
		}
	}
}

// add has what is left of e's owner taken out.
func (r *Reaper) add(e backend.Ending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.jobs[e.Owner]; j != nil {
		j.again = true
		return
	}
	j := &job{Ending: e}
	r.jobs[e.Owner] = j
	r.newest = time.Now()
	if len(r.ready) == 0 {
		r.oldest = r.newest
	}
	r.ready = append(r.ready, j)
	notify(r.wake)
}

// take returns the jobs to begin now.
func (r *Reaper) take() []*job {
	if _, serves := r.office.Tenure(); !serves {
		r.drop()
		return nil
	}
	r.mu.Lock()
	fresh := r.fresh
	r.fresh = false
	r.mu.Unlock()
	if fresh {
		for l := range r.table.Ended() {
			r.add(backend.Ending{Owner: l.Owner, Revision: backend.Revision(l.Revision), Reason: l.Ended})
		}
		for _, e := range r.from.Remains() {
			r.add(e)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pausing > 0 && r.busy < hands {
		r.due(time.Now())
	}
	if r.rushed(time.Now()) {
		return nil // the ticker comes back to it
	}
	free := min(hands-r.busy, len(r.ready))
	begun := r.ready[:free:free]
	r.ready = r.ready[free:]
	r.busy += free
	for _, j := range begun {
		j.running, j.again = true, false
	}
	return begun
}

// rushed reports whether many leases have just ended and others may be about to.
func (r *Reaper) rushed(now time.Time) bool {
	return len(r.ready) > hands && now.Sub(r.newest) < lull && now.Sub(r.oldest) < longest
}

// drop forgets what is not begun: the next keeper finds all of it, and so does this node if
// it is it.
func (r *Reaper) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for owner, j := range r.jobs {
		if !j.running {
			delete(r.jobs, owner)
		}
	}
	r.ready, r.pausing = nil, 0
}

// due makes those ready whose pause is over.
func (r *Reaper) due(now time.Time) {
	for _, j := range r.jobs {
		if !j.at.IsZero() && !j.at.After(now) {
			j.at = time.Time{}
			r.pausing--
			r.ready = append(r.ready, j)
		}
	}
}

// done notes the outcome of j.
func (r *Reaper) done(j *job, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	j.running = false
	switch {
	case err == nil && !j.again, errors.Is(err, backend.ErrInvalid):
		delete(r.jobs, j.Owner)
	case err == nil:
		r.ready = append(r.ready, j)
	default:
		j.at = time.Now().Add(min(soonest<<min(j.tries, 10), latest))
		j.tries++
		r.pausing++
	}
}

var errLeft = errors.New("something is left")

// reap takes out what is left of e's owner, and then the lease's record.
func (r *Reaper) reap(ctx context.Context, e backend.Ending) error {
	left, err := r.from.Reap(ctx, e)
	if err == nil && left > 0 {
		err = errLeft
	}
	if err == nil {
		err = r.bury(ctx, e.Owner)
	}
	if err != nil && ctx.Err() == nil {
		r.log.LogAttrs(ctx, slog.LevelDebug, "ended lease not reaped", slog.String("owner", e.Owner),
			slog.Int("left", left), slog.Any("err", err))
	}
	return err
}

// bury removes the record of an ended lease of which nothing is left. It is not fenced: an
// ended lease stays ended, whoever removes it.
func (r *Reaper) bury(ctx context.Context, owner string) error {
	l, ok := r.table.Get(owner)
	if !ok || l.Ended == "" {
		return nil
	}
	w, err := l.Write(l.Record, rand.Text())
	if err != nil {
		return err
	}
	w.Remove, w.Keep, w.Reason = true, lease.Remembered, l.Ended
	if _, err := r.store.Write(ctx, w); err != nil {
		return fmt.Errorf("remove the lease of %s: %w", owner, err)
	}
	return nil
}
