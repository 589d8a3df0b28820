package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

// Objects are all objects of one kind.
type Objects[T any] struct {
	*world

	kind   *kind[T]
	prefix string // of the store's keys
	mirror *mirror[T]
	turns  turns[T]
	left   leaving
}

// world is what objects of every kind share.
type world struct {
	store  kvstore.Store
	tail   *kvstore.Tail
	leases *lease.Table
	epochs Epochs
	log    *slog.Logger

	node     string
	instance string // tells this process's tickets from those of others of the node's name

	waiters atomic.Int64 // requests that wait here
}

// Object is one object as it is stored, without whatever is of owners whose leases have
// ended.
type Object[T any] struct {
	Name Name
	// Record is the zero T where there is none. It is shared and must not be changed.
	Record T
	// Revision is that of the record's newest writing; 0 if there is none.
	Revision backend.Revision
}

func newObjects[T any](w *world, k *kind[T], changed func(key string)) *Objects[T] {
	o := &Objects[T]{
		world: w, kind: k, prefix: Prefix + k.name + ".",
		turns: turns[T]{keys: map[string]*turn[T]{}},
		left:  leaving{keys: map[string]map[coordination.Ticket]time.Time{}},
	}
	o.mirror = newMirror(k, w.log, changed)
	w.tail.Subscribe(o.prefix, o.mirror)
	return o
}

func (o *Objects[T]) key(n Name) string { return o.prefix + n.String() }

// Get returns the object of that name, as new as read asks. Of Read, Wait is not used.
// ErrInvalid, ErrCompacted, ErrUnavailable.
func (o *Objects[T]) Get(ctx context.Context, n Name, read backend.Read) (Object[T], backend.Stamp, error) {
	if err := n.Validate(); err != nil {
		return Object[T]{}, backend.Stamp{}, err
	}
	stamp, err := o.reach(ctx, read)
	if err != nil {
		return Object[T]{}, backend.Stamp{}, err
	}
	return o.show(ctx, n, stamp)
}

// show returns the object of that name, as of stamp or newer.
func (o *Objects[T]) show(ctx context.Context, n Name, stamp backend.Stamp) (Object[T], backend.Stamp, error) {
	s, _ := o.mirror.peek(o.key(n))
	if s.revision > uint64(stamp.Revision) {
		// It shows a moment before everything up to it has been seen.
		if err := o.tail.Wait(ctx, s.revision); err != nil {
			return Object[T]{}, backend.Stamp{}, unavailable(err)
		}
		stamp.Revision = backend.Revision(s.revision)
	}
	return o.object(n, s), stamp, nil
}

// object returns what readers see of s, every change up to whose revision has been seen.
func (o *Objects[T]) object(n Name, s *state[T]) Object[T] {
	if !s.present {
		return Object[T]{Name: n}
	}
	object := Object[T]{Name: n, Record: s.value, Revision: backend.Revision(s.revision)}
	if slices.ContainsFunc(s.owners, o.dead) {
		object.Record = o.kind.strip(s.value, o.dead)
	}
	return object
}

// dead reports whether an owner that a record names, everything up to which has been seen,
// does not live any more: it did when it was written, and all leases were seen before.
func (w *world) dead(owner string) bool { return !w.leases.Lives(owner) }

// reach returns when this node has seen what read asks for, and how far that is.
func (w *world) reach(ctx context.Context, read backend.Read) (backend.Stamp, error) {
	if err := read.Validate(); err != nil {
		return backend.Stamp{}, err
	}
	epoch, err := w.epoch()
	if err != nil {
		return backend.Stamp{}, err
	}
	if read.Epoch != 0 && read.MinRevision > 0 && read.Epoch != backend.Epoch(epoch) {
		return backend.Stamp{}, fmt.Errorf("%w: a revision of epoch %d was asked for in epoch %d", backend.ErrCompacted, read.Epoch, epoch)
	}
	if read.Consistency == backend.Linearizable {
		if err := w.sync(ctx); err != nil {
			return backend.Stamp{}, err
		}
	}
	if err := w.tail.Wait(ctx, uint64(read.MinRevision)); err != nil {
		return backend.Stamp{}, unavailable(err)
	}
	return w.stamp(read)
}

// stamp says how far this node's answer reaches now. What is read afterwards is as new.
func (w *world) stamp(read backend.Read) (backend.Stamp, error) {
	epoch, err := w.epoch()
	if err != nil {
		return backend.Stamp{}, err
	}
	// The age first: what comes in between is newer.
	stamp := backend.Stamp{Age: w.tail.Age(), Epoch: backend.Epoch(epoch)}
	stamp.Revision = backend.Revision(w.tail.Revision())
	if read.MaxAge > 0 && stamp.Age > read.MaxAge {
		return backend.Stamp{}, fmt.Errorf("%w: this node has not heard from the bucket for %v, and %v is asked for",
			backend.ErrUnavailable, stamp.Age.Round(time.Millisecond), read.MaxAge)
	}
	return stamp, nil
}

func (w *world) epoch() (uint32, error) {
	if w.tail.Generation() == "" {
		return 0, fmt.Errorf("%w: the first snapshot is not complete", backend.ErrUnavailable)
	}
	epoch, ok := w.epochs.Current()
	if !ok {
		return 0, fmt.Errorf("%w: the epoch of the bucket is being decided", backend.ErrUnavailable)
	}
	return epoch, nil
}

// sync returns when everything acknowledged before the call has been seen.
func (w *world) sync(ctx context.Context) error {
	if err := w.tail.Barrier(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(cause error) error { return fmt.Errorf("%w: %w", backend.ErrUnavailable, cause) }

// Page is a part of a list.
type Page struct {
	Names []Name
	// Next is what After is for the next page; "" after the last.
	Next string
}

// List returns the names of the objects that are stored in namespace, or everywhere if it is
// "", those behind after, in the order of their keys, at most limit unless that is 0. Of
// Read, Wait is not used. ErrInvalid, ErrCompacted, ErrUnavailable.
func (o *Objects[T]) List(ctx context.Context, namespace, after string, limit int, read backend.Read) (Page, backend.Stamp, error) {
	scope := o.prefix
	if namespace != "" {
		if err := backend.ValidateName("namespace", namespace); err != nil {
			return Page{}, backend.Stamp{}, err
		}
		scope += backend.Token(namespace) + "."
	}
	if after != "" {
		if _, err := ParseName(after); err != nil {
			return Page{}, backend.Stamp{}, backend.Invalid("after", "is none that a page ended with")
		}
	}
	if limit < 0 {
		return Page{}, backend.Stamp{}, backend.Invalid("limit", "must not be negative")
	}
	stamp, err := o.reach(ctx, read)
	if err != nil {
		return Page{}, backend.Stamp{}, err
	}
	keys := slices.DeleteFunc(o.mirror.keys(""), func(key string) bool {
		return !strings.HasPrefix(key, scope) || key <= o.prefix+after
	})
	slices.Sort(keys)
	page := Page{Names: []Name{}}
	for i, key := range keys {
		if limit > 0 && len(page.Names) == limit {
			page.Next = strings.TrimPrefix(keys[i-1], o.prefix)
			break
		}
		if n, err := ParseName(strings.TrimPrefix(key, o.prefix)); err == nil {
			page.Names = append(page.Names, n)
		}
	}
	return page, stamp, nil
}

// Await returns the object as soon as until is true of it, as this node's feed shows it;
// until is asked for what there is now and after each change. ErrInvalid, and ErrUnavailable
// when ctx is done.
func (o *Objects[T]) Await(ctx context.Context, n Name, until func(*Object[T]) bool) (Object[T], backend.Stamp, error) {
	fail := func(err error) (Object[T], backend.Stamp, error) { return Object[T]{}, backend.Stamp{}, err }
	if err := n.Validate(); err != nil {
		return fail(err)
	}
	key, w := o.key(n), &watcher{wake: make(chan struct{}, 1)}
	o.mirror.watch(key, w)
	defer o.mirror.unwatch(key, w)
	for {
		stamp, err := o.stamp(backend.Read{})
		if err == nil {
			var object Object[T]
			if object, stamp, err = o.show(ctx, n, stamp); err == nil && until(&object) {
				return object, stamp, nil
			}
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			if err == nil {
				err = backend.ErrUnavailable
			}
			return fail(fmt.Errorf("%w: %w", err, context.Cause(ctx)))
		}
	}
}
