package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// maxNamed is how many operations one write names at most.
const maxNamed = 8

// serve tells all asks what has become of them, as far as somebody waits for that. As many
// as can be are carried out with one write, each decided from what the one before it has
// left. The caller has the turn t to write key.
func (o *Objects[T]) serve(ctx context.Context, key string, t *turn[T], asks []*ask[T]) {
	now, in := o.mirror.peek(key)
	now = t.newest(now, in)
	for {
		some, rest := o.combine(asks, now)
		if len(some) == 0 {
			return
		}
		last := some[len(some)-1].next
		w := &kvstore.Write{
			Key: key, Value: last.raw, Expect: now.revision,
			Labels: kvstore.Labels{Operation: last.operation, Reason: some[0].by.Reason},
		}
		doubt := len(some) == 1 && some[0].doubt
		o.mirror.expect(key, last)
		revision, err := o.write(ctx, w, &doubt)
		if err == nil {
			last.revision, last.seen = revision, time.Now()
			t.left, t.in = last, in
			o.made(key, some, last)
			now, asks = last, rest
			continue
		}
		for _, a := range some {
			a.doubt = a.doubt || doubt
		}
		conflict, ok := errors.AsType[*kvstore.ConflictError](err)
		if !ok {
			for _, a := range some {
				a.tell(outcome[T]{err: a.failed(translate(err))})
			}
			asks = rest
			continue
		}
		asks = append(some, rest...)
		if now, err = o.overtaken(ctx, key, asks, now, conflict); err != nil {
			for _, a := range asks {
				a.tell(outcome[T]{err: a.failed(err)})
			}
			return
		}
	}
}

// made tells some that they were carried out, with the write that has left last.
func (o *Objects[T]) made(key string, some []*ask[T], last *state[T]) {
	for _, a := range some {
		s := a.next
		a.doubt = false
		if last.revision <= a.base {
			a.tell(outcome[T]{err: unknown(fmt.Errorf("%s was written in another life of the store", key))})
			continue
		}
		if s != last {
			s.revision, s.seen, s.operation, s.whole = last.revision, last.seen, last.operation, last
		}
		a.tell(outcome[T]{s: s, wrote: true})
	}
}

// combine decides asks, one after the other, until one of them cannot be carried out with
// the same write as those before it: the rest. Those that write nothing are told so.
func (o *Objects[T]) combine(asks []*ask[T], base *state[T]) (some, rest []*ask[T]) {
	now := base
	var names []string
	for i, a := range asks {
		next, live, err := o.decided(a, now)
		switch {
		case !live:
			continue
		case errors.Is(err, errUnsure):
			a.tell(outcome[T]{err: err})
			continue
		case len(some) == 0 && next == nil:
			a.tell(outcome[T]{s: now, err: a.failed(err)})
			continue
		case next == nil, len(some) > 0 && !o.together(base, now, next, some[0], a):
			// What it was decided from is not stored, and may never be.
			return some, asks[i:]
		}
		if a.once && a.named {
			if len(names) == maxNamed {
				return some, asks[i:]
			}
			names = append(names, a.operation)
		}
		next.revision, next.operation = base.revision, a.operation
		if len(some) > 0 {
			next.operation = joined(names)
		}
		a.next, now = next, next
		some = append(some, a)
	}
	if len(some) > 0 {
		now.owners = o.kind.owners(&now.value)
	}
	return some, nil
}

// together reports whether a, which makes next of now, can be carried out with the write of
// what has made now of base, the first of which is first. What may happen to an object only
// once with a write are the things of which each has to be announced, and by which tokens
// grow.
func (o *Objects[T]) together(base, now, next *state[T], first, a *ask[T]) bool {
	if !base.present || first.by.Reason != "" || a.by.Reason != "" {
		return false
	}
	was := o.kind.mark(&now.value)
	return was == o.kind.mark(&base.value) || was == o.kind.mark(&next.value)
}

// joined returns the operation of a write that carries out those of names, and maybe others
// that need none.
func joined(names []string) string {
	if len(names) == 0 {
		return rand.Text()
	}
	return strings.Join(names, "+")
}

// overtaken returns the state that made a write for asks fail which was decided from now.
func (o *Objects[T]) overtaken(ctx context.Context, key string, asks []*ask[T], now *state[T], conflict *kvstore.ConflictError) (*state[T], error) {
	most := 0
	for _, a := range asks {
		a.sure = false
		a.conflicts++
		most = max(most, a.conflicts)
	}
	if most > 1 {
		if err := sleep(ctx, most-2); err != nil {
			return nil, err
		}
	}
	switch {
	case conflict.Known && conflict.Current.Revision != 0:
		if s, err := parse(o.kind, &conflict.Current); err == nil {
			return s, nil
		}
	case conflict.Known && !now.present:
		o.mirror.forget(key, now.revision) // the store has forgotten the marker
	}
	if err := o.sync(ctx); err != nil {
		return nil, err
	}
	for _, a := range asks {
		o.survey(a.plan)
	}
	now, _ = o.mirror.peek(key)
	return now, nil
}

// bears reports whether s was written to carry out the operation of that id.
func (s *state[T]) bears(id string) bool {
	return slices.Contains(strings.Split(s.operation, "+"), id)
}
