package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
)

const (
	// hands is how many records are gone on with at a time.
	hands = 32
	// tick is how often there is a look at the clock.
	tick = 250 * time.Millisecond
	// round is how often idle records and forgotten markers are looked for.
	round = time.Minute
	// effort bounds one try.
	effort = 10 * time.Second
)

// Run takes the requests of this node out of queues whose ends could not be written, and
// those of a process before this one; and while the node is the keeper, it goes on with every
// record from which somebody's lease has ended, takes out the requests of nodes that have
// gone, aborts the proposals whose time is over, counting from when this keeper first saw
// them, and removes the records that nobody uses. It returns when ctx is done.
func (e *Engine) Run(ctx context.Context) error {
	if !e.begin() {
		return errors.New("engine: is running already")
	}
	d := &desk{Engine: e}
	d.clear()
	var tasks sync.WaitGroup
	defer func() {
		tasks.Wait()
		e.mu.Lock()
		e.running = false
		e.mu.Unlock()
		e.keeping.Store(false)
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	now := time.Now()
	for {
		d.look(now)
		for _, j := range d.take() {
			tasks.Go(func() {
				d.done(ctx, j, d.do(ctx, j))
				notify(e.wake)
			})
		}
		select {
		case <-e.wake:
			now = time.Now()
		case now = <-ticker.C:
			d.clock(now)
		case <-ctx.Done():
			return fmt.Errorf("coordinate: %w", ctx.Err())
		}
	}
}

func (e *Engine) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running {
		return false
	}
	e.running, e.fresh = true, true
	return true
}

// desk is where Run notes what there is to do. Only Run uses it, but for what mu guards.
type desk struct {
	*Engine

	term     uint64 // of the present tenure; 0 while the node is not the keeper
	rounds   time.Time
	previous bool // the processes before this one have been looked for

	waits  map[spot]map[string]struct{} // nodes where requests wait
	votes  map[spot]vote
	unused map[spot]since

	jobs  map[spot]*job
	ready []*job
	later []*job // to be looked at again with the next tick

	mu   sync.Mutex
	over []*job
	busy int
}

type vote struct {
	id  string
	due time.Time
}

type since struct {
	revision uint64
	from     time.Time
}

// job is one try at one record.
type job struct {
	spot
	tidying
	remove  uint64 // the revision at which it is to be removed; 0 if not
	prove   bool   // have this node give a sign of life
	again   bool   // something has come up since it was begun
	running bool
	err     error
}

func (d *desk) do(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(ctx, effort)
	defer cancel()
	switch {
	case j.prove:
		return d.tail.Barrier(ctx)
	case j.remove != 0:
		return j.shelf.remove(ctx, j.key, j.remove)
	}
	return j.shelf.tidy(ctx, j.key, j.tidying)
}

func (d *desk) clear() {
	d.waits, d.votes, d.unused = map[spot]map[string]struct{}{}, map[spot]vote{}, map[spot]since{}
	if d.jobs == nil {
		d.jobs = map[spot]*job{}
	}
}

// look takes in what is new.
func (d *desk) look(now time.Time) {
	tenure, keeps := d.office.Tenure()
	if !keeps {
		tenure.Term = 0
	}
	changed := d.term != tenure.Term
	if changed {
		d.term = tenure.Term
		d.clear()
	}
	d.keeping.Store(keeps)
	d.Engine.mu.Lock()
	news, fresh := d.news, d.fresh || changed && keeps
	d.news, d.fresh = map[spot]struct{}{}, false
	d.Engine.mu.Unlock()
	if fresh {
		for _, s := range d.shelves {
			for _, key := range s.keys("") {
				news[spot{s, key}] = struct{}{}
			}
		}
		d.known(news) // some of it may not be there any more
	}
	previous := fresh && !d.previous && d.tail.Generation() != ""
	d.previous = d.previous || previous
	for at := range news {
		d.inspect(at, now, previous)
	}
	d.reap()
}

// known adds to all what there is a note about.
func (d *desk) known(all map[spot]struct{}) {
	for at := range d.waits {
		all[at] = struct{}{}
	}
	for at := range d.votes {
		all[at] = struct{}{}
	}
	for at := range d.unused {
		all[at] = struct{}{}
	}
}

// inspect notes what there is to do about one record.
func (d *desk) inspect(at spot, now time.Time, previous bool) {
	found := at.shelf.look(at.key)
	previous = previous && found.previous
	if found.orphans || previous || found.dead && d.term != 0 {
		d.add(&job{spot: at, tidying: tidying{previous: previous}})
	}
	if d.term == 0 {
		return
	}
	d.note(at, &found)
	if found.voting == "" {
		delete(d.votes, at)
	} else if d.votes[at].id != found.voting {
		d.votes[at] = vote{found.voting, now.Add(found.timeout)}
	}
	if !found.idle {
		delete(d.unused, at)
	} else if d.unused[at].revision != found.revision {
		d.unused[at] = since{found.revision, now}
	}
}

// note notes where requests wait.
func (d *desk) note(at spot, found *duties) {
	if len(found.nodes) == 0 {
		delete(d.waits, at)
		return
	}
	nodes := make(map[string]struct{}, len(found.nodes))
	for _, node := range found.nodes {
		nodes[node] = struct{}{}
	}
	d.waits[at] = nodes
}

// clock looks at what time has brought.
func (d *desk) clock(now time.Time) {
	for _, j := range d.later {
		d.inspect(j.spot, now, j.previous)
	}
	d.later = nil
	// A node that writes enough else sends no probes.
	if d.waiters.Load() > 0 && now.Sub(d.probes.seen(d.node, now)) >= time.Second {
		d.add(&job{prove: true})
	}
	if d.term != 0 {
		d.silences(now)
		for at, v := range d.votes {
			if !now.Before(v.due) {
				d.add(&job{spot: at, tidying: tidying{expire: v.id}})
			}
		}
	}
	if now.Sub(d.rounds) < round {
		return
	}
	d.rounds = now
	for _, s := range d.shelves {
		s.prune(now)
	}
	for at, u := range d.unused {
		if now.Sub(u.from) >= d.idle {
			d.add(&job{spot: at, remove: u.revision})
		}
	}
}

// silences has the requests of nodes taken out that have gone.
func (d *desk) silences(now time.Time) {
	age := d.tail.Age()
	silent := map[string]bool{}
	for at, nodes := range d.waits {
		var gone []string
		for node := range nodes {
			is, known := silent[node]
			if !known {
				is = node != d.node && d.probes.silent(node, now, age)
				silent[node] = is
			}
			if is {
				gone = append(gone, node)
			}
		}
		if len(gone) > 0 {
			d.add(&job{spot: at, tidying: tidying{gone: gone}})
		}
	}
}

// add has j done, after what is being done at its record.
func (d *desk) add(j *job) {
	before := d.jobs[j.spot]
	switch {
	case before == nil:
		d.jobs[j.spot] = j
		d.ready = append(d.ready, j)
	case before.running:
		before.again = true
	default:
		before.merge(j)
	}
}

// merge adds to j what another asks for.
func (j *job) merge(k *job) {
	if k.remove == 0 {
		j.remove = 0
	}
	if k.expire != "" {
		j.expire = k.expire
	}
	if len(k.gone) > 0 {
		j.gone = k.gone
	}
	j.previous = j.previous || k.previous
}

// take returns the jobs to begin now.
func (d *desk) take() []*job {
	d.mu.Lock()
	free := min(hands-d.busy, len(d.ready))
	d.busy += free
	d.mu.Unlock()
	begun := d.ready[:free:free]
	d.ready = d.ready[free:]
	for _, j := range begun {
		j.running = true
	}
	return begun
}

// done notes the outcome of j.
func (d *desk) done(ctx context.Context, j *job, err error) {
	if err != nil && ctx.Err() == nil {
		d.world.log.LogAttrs(ctx, slog.LevelDebug, "record not gone on with", slog.String("key", j.key), slog.Any("err", err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy--
	j.err = err
	d.over = append(d.over, j)
}

// reap looks again at the records of jobs that are over, where there is reason to.
func (d *desk) reap() {
	d.mu.Lock()
	over := d.over
	d.over = nil
	d.mu.Unlock()
	for _, j := range over {
		delete(d.jobs, j.spot)
		switch {
		case j.prove || errors.Is(j.err, backend.ErrInvalid):
		case j.err != nil:
			d.later = append(d.later, j)
		case j.again:
			d.changed(j.shelf, j.key)
		}
	}
}
