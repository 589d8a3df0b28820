package backup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/roostbus/roost/backend"
)

// snapshot is what a registry held at one revision.
//
// The pages of a list are each as of another moment. What has changed after the first page
// is asked for then, again and again, until an answer is a single page: that is everything
// as of one revision, and with it so is the whole.
type snapshot struct {
	registry backend.Backend
	opts     *Options

	listed, changes *spool
	changed         map[string]change // by key
	found           int               // registrations listed

	epoch    backend.Epoch
	revision backend.Revision
	newest   backend.Revision // that an answer since a revision has shown
}

// change is the newest state of a key that changed while it was listed.
type change struct {
	at      int64 // in changes
	size    int
	removed bool
}

// maxRounds is how often it is asked what has changed.
const maxRounds = 100

// errMoved means that the registry began another epoch meanwhile.
var errMoved = errors.New("another epoch has begun")

func newSnapshot(registry backend.Backend, opts *Options) (*snapshot, error) {
	listed, err := newSpool(opts.Dir)
	if err != nil {
		return nil, err
	}
	changes, err := newSpool(opts.Dir)
	if err != nil {
		listed.remove()
		return nil, err
	}
	return &snapshot{registry: registry, opts: opts, listed: listed, changes: changes, changed: map[string]change{}}, nil
}

func (s *snapshot) remove() {
	s.listed.remove()
	s.changes.remove()
}

// take reads the registry.
func (s *snapshot) take(ctx context.Context) error {
	total, _, err := backend.Count(ctx, s.registry, backend.Query{})
	if err != nil {
		return fmt.Errorf("count the registrations: %w", err)
	}
	since, err := s.list(ctx, total)
	for round := 0; err == nil; round++ {
		if round == maxRounds {
			return fmt.Errorf("%w: the registry changes faster than it can be read", backend.ErrUnavailable)
		}
		var settled bool
		if since, settled, err = s.catchUp(ctx, since); settled {
			s.revision = since
			return errors.Join(s.listed.out.Flush(), s.changes.out.Flush())
		}
	}
	if errors.Is(err, backend.ErrCompacted) {
		return errMoved
	}
	return err
}

// list puts every page into a spool and returns the revision of the first.
func (s *snapshot) list(ctx context.Context, total int) (first backend.Revision, err error) {
	q := backend.Query{Limit: pageLimit, Read: backend.Read{Consistency: backend.Linearizable}}
	for {
		page, stamp, err := s.registry.List(ctx, q)
		if err != nil {
			return 0, fmt.Errorf("list the registrations: %w", err)
		}
		if q.After == "" {
			first, s.epoch = stamp.Revision, stamp.Epoch
			q.Consistency = backend.Local // what follows is at least as new
		}
		if stamp.Epoch != s.epoch {
			return 0, errMoved
		}
		for _, r := range page.Registrations {
			if _, err := s.listed.add(r.Key.String(), r); err != nil {
				return 0, fmt.Errorf("write a temporary file: %w", err)
			}
		}
		s.found += len(page.Registrations)
		s.opts.progress(s.found, max(total, s.found))
		if page.Next == "" {
			return first, nil
		}
		q.After = page.Next
	}
}

// catchUp notes what has changed after since. settled says that this was everything at the
// revision that it returns.
func (s *snapshot) catchUp(ctx context.Context, since backend.Revision) (revision backend.Revision, settled bool, err error) {
	q := backend.Query{Since: &since, Limit: pageLimit, Read: backend.Read{Epoch: s.epoch, MinRevision: s.newest}}
	if s.newest == 0 {
		// The pages of a list do not show what was removed before they were made, so how far
		// they have come is not known. An answer since a revision shows all that it knows.
		q.Consistency = backend.Linearizable
	}
	settled = true
	for {
		page, stamp, err := s.registry.List(ctx, q)
		if err != nil {
			return 0, false, fmt.Errorf("list what has changed: %w", err)
		}
		if q.After == "" {
			revision = stamp.Revision
		}
		s.newest = max(s.newest, stamp.Revision)
		if stamp.Epoch != s.epoch {
			return 0, false, errMoved
		}
		for _, r := range page.Registrations {
			s.newest = max(s.newest, r.Revision)
			settled = settled && r.Revision <= revision
			if err := s.note(r.Key.String(), r); err != nil {
				return 0, false, err
			}
		}
		for i := range page.Removed {
			s.newest = max(s.newest, page.Removed[i].Revision)
			settled = settled && page.Removed[i].Revision <= revision
			if err := s.note(page.Removed[i].Key.String(), nil); err != nil {
				return 0, false, err
			}
		}
		if page.Next == "" {
			return revision, settled, nil
		}
		settled, q.After = false, page.Next
	}
}

// note notes the newest state of a key; nil where it was removed.
func (s *snapshot) note(key string, r *backend.Registration) error {
	c := change{removed: r == nil}
	if r != nil {
		var err error
		if c.at, err = s.changes.add(key, r); err != nil {
			return fmt.Errorf("write a temporary file: %w", err)
		}
		c.size = int(s.changes.at - c.at)
	}
	s.changed[key] = c
	if limit := s.opts.maxChanges(); len(s.changed) > limit {
		return fmt.Errorf("%w: more than %d keys changed while the registry was read", backend.ErrUnavailable, limit)
	}
	return nil
}

// all yields every registration, in the order of their keys.
func (s *snapshot) all() iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		keys := slices.Sorted(maps.Keys(s.changed))
		// upTo yields what has changed up to key, which is replaced by it if it is among that.
		upTo := func(key string, most bool) (replaced, goOn bool) {
			for len(keys) > 0 && (most || keys[0] <= key) {
				next := keys[0]
				keys, replaced = keys[1:], next == key
				if c := s.changed[next]; !c.removed {
					if l, err := s.changes.read(c.at, c.size); !yield(l, err) || err != nil {
						return replaced, false
					}
				}
			}
			return replaced, true
		}
		for l, err := range s.listed.all() {
			if err != nil {
				yield(stored{}, err)
				return
			}
			replaced, goOn := upTo(string(l.key), false)
			if !goOn || !replaced && !yield(l, nil) {
				return
			}
		}
		upTo("", true)
	}
}
