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
	term    uint64 // of the tenure in which it was begun; 0 if the node is not the keeper
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
		j.running, j.term = true, d.term
	}
	return begun
}

// done notes the outcome of j.
func (d *desk) done(ctx context.Context, j *job, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() == nil && !j.prove {
		d.say(ctx, j, err)
	}
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

// say logs that a record cannot be gone on with, once until it can. The caller holds mu.
func (d *desk) say(ctx context.Context, j *job, err error) {
	_, said := d.troubled[j.spot]
	switch {
	case err == nil && said:
		delete(d.troubled, j.spot)
		d.world.log.LogAttrs(ctx, slog.LevelInfo, "record gone on with again", slog.String("object", j.key))
	case err != nil && !said:
		d.troubled[j.spot] = struct{}{}
		d.world.log.LogAttrs(ctx, slog.LevelWarn, "record not gone on with", slog.String("object", j.key),
			slog.Any("ended", j.shelf.look(j.key).ended), slog.Uint64("term", j.term), slog.Any("err", err))
	}
}
