package engine

import (
	"context"
	"errors"
	"log/slog"

	"github.com/roostbus/roost/backend"
)

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
