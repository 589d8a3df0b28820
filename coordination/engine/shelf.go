package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/kvstore"
)

// shelf is what [Engine.Run] does with objects of whatever kind.
type shelf interface {
	// keys returns the keys of all records, or of those that name owner.
	keys(owner string) []string
	// ended says that owner's lease has ended.
	ended(owner string)
	// leaves reports whether a request of this node is yet to be taken out at key.
	leaves(key string) bool
	// look says what there is to do at key.
	look(key string) duties
	// tidy does it, as far as it is there to be done.
	tidy(ctx context.Context, key string, t tidying) error
	// remove removes the record at key if it is at revision.
	remove(ctx context.Context, key string, revision uint64) error
	// prune forgets what is too old to be of use.
	prune(now time.Time)
}

// duties are what there is to do about a record.
type duties struct {
	revision uint64
	dead     bool     // it names somebody whose lease has ended
	ended    []string // whom
	orphans  bool     // a request of this process waits there that has ended
	previous bool     // one of another process of this node's name waits there
	nodes    []string // where requests wait
	idle     bool
	voting   string // what is voted on; "" if nothing is
	timeout  time.Duration
}

// tidying is what is to be taken out of a record beside those whose leases have ended.
type tidying struct {
	gone     []string // nodes that have gone
	previous bool     // processes of this node's name before this one
	expire   string   // what has been voted on for long enough; "" if nothing was
}

// Marked is how long the removal of an idle record is remembered.
const Marked = 40 * time.Minute

func (o *Objects[T]) keys(owner string) []string { return o.mirror.keys(owner) }

func (o *Objects[T]) ended(owner string) { o.mirror.ended(owner) }

func (o *Objects[T]) leaves(key string) bool { return o.left.any(key) }

func (o *Objects[T]) prune(now time.Time) {
	o.mirror.prune(now.Add(-Marked))
	for key, tickets := range o.left.before(now.Add(-2 * patience)) {
		// By now each has been shown in the record, or never will be.
		s, _ := o.mirror.peek(key)
		for _, t := range tickets {
			if !s.present || !slices.Contains(o.kind.tickets(&s.value), t) {
				o.left.remove(key, t)
			}
		}
	}
}

func (o *Objects[T]) look(key string) duties {
	s, _ := o.mirror.peek(key)
	d := duties{revision: s.revision}
	if !s.present {
		return d
	}
	for _, owner := range s.owners {
		if o.dead(owner) && !slices.Contains(d.ended, owner) {
			d.ended = append(d.ended, owner)
		}
	}
	d.dead = len(d.ended) > 0
	if o.kind.tickets != nil {
		for _, t := range o.kind.tickets(&s.value) {
			if !slices.Contains(d.nodes, t.Node) {
				d.nodes = append(d.nodes, t.Node)
			}
			d.orphans = d.orphans || o.left.has(key, t)
			d.previous = d.previous || o.foreign(t)
		}
	}
	d.idle = o.kind.idle != nil && o.kind.idle(&s.value)
	if o.kind.voting != nil {
		id, timeoutMs := o.kind.voting(&s.value)
		d.voting, d.timeout = id, time.Duration(timeoutMs)*time.Millisecond
	}
	return d
}

// foreign reports whether t is that of another process of this node's name.
func (o *Objects[T]) foreign(t coordination.Ticket) bool {
	return t.Node == o.node && !strings.HasPrefix(t.ID, o.instance)
}

func (o *Objects[T]) tidy(ctx context.Context, key string, t tidying) error {
	n, err := ParseName(strings.TrimPrefix(key, o.prefix))
	if err != nil {
		return err // no request reaches it
	}
	gone := func(ticket coordination.Ticket) bool {
		return o.left.has(key, ticket) || t.previous && o.foreign(ticket) || slices.Contains(t.gone, ticket.Node)
	}
	_, _, err = o.do(ctx, &change[T]{name: n, loose: true, apply: func(x T, turn *coordination.Turn) (T, error) {
		switch {
		case t.expire != "" && o.kind.expire != nil:
			return o.kind.expire(x, turn, t.expire, coordination.ReasonTimeout), nil
		case o.kind.giveUp != nil:
			return o.kind.giveUp(x, turn, gone), nil
		}
		return o.kind.advance(x, turn), nil
	}})
	return err
}

func (o *Objects[T]) remove(ctx context.Context, key string, revision uint64) error {
	mine, err := o.turns.take(ctx, key)
	if err != nil {
		return err
	}
	defer o.turns.give(key, mine)
	s, in := o.mirror.peek(key)
	if s = mine.newest(s, in); s.revision != revision || !s.present {
		return nil
	}
	w := &kvstore.Write{
		Key: key, Value: s.raw, Expect: revision, Remove: true, Keep: Marked,
		Labels: kvstore.Labels{Operation: rand.Text(), Reason: backend.ReasonExpired},
	}
	var doubt bool
	at, err := o.write(ctx, w, &doubt)
	switch {
	case err == nil:
		mine.left, mine.in = &state[T]{revision: at, operation: w.Operation}, in
		return nil
	case errors.Is(err, kvstore.ErrConflict):
		return nil // somebody uses it
	}
	return translate(err)
}
