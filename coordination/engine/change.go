package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/kvstore"
)

// change is one transition that somebody asks for.
type change[T any] struct {
	name Name
	by   backend.Write

	// apply is asked again whenever it has to be decided anew. Of what it notes beside its
	// results the last time counts.
	apply func(T, *coordination.Turn) (T, error)

	// once says that apply must not be written a second time where it is not known whether
	// it was before. What the record says by itself of who asks it need not.
	once bool

	// loose says that it does not matter whether something that writes nothing is decided
	// from what is newest.
	loose bool

	// queues, if not nil, reports whether all that apply would do is to have somebody wait.
	queues func(now *T) bool

	// final, if not nil, reports whether what apply has made of was cannot be taken back.
	// Then it is decided from what reflects every end of a lease that was acknowledged
	// before: a lock given to one who has ended passes on, this would stand.
	final func(was, next *T) bool
}

// errUnsure means that the same has to be decided again after a barrier.
var errUnsure = errors.New("decided from what may be old")

// do has c made, and returns the state that it has left or found, and whether it has
// written.
func (o *Objects[T]) do(ctx context.Context, c *change[T]) (s *state[T], wrote bool, err error) {
	if err := c.name.Validate(); err != nil {
		return nil, false, err
	}
	if err := c.by.Validate(); err != nil {
		return nil, false, err
	}
	if ctx.Err() != nil {
		return nil, false, unavailable(context.Cause(ctx))
	}
	key := o.key(c.name)
	p := &plan[T]{change: c, operation: operationOf(&c.by), named: c.by.ID.String() != ""}
	p.base = o.tail.Revision()
	for {
		// Where somebody is at it already what is known now is old before it is used.
		if !o.turns.used(key) {
			now, _ := o.mirror.peek(key)
			next, err := o.decide(p, now)
			if next == nil && !errors.Is(err, errUnsure) {
				return now, false, p.failed(err)
			}
			if err != nil {
				if err := o.again(ctx, p); err != nil {
					return nil, false, p.failed(err)
				}
				continue
			}
			p.from, p.draft = now, next
		}
		out := o.turn(ctx, key, p)
		if !errors.Is(out.err, errUnsure) {
			return out.s, out.wrote, out.err
		}
		if err := o.again(ctx, p); err != nil {
			return nil, false, p.failed(err)
		}
	}
}

// plan is a change under way.
type plan[T any] struct {
	*change[T]
	operation string
	named     bool               // by who asks
	base      uint64             // of which every state is newer, in one life of the store
	sure      bool               // now reflects everything acknowledged before the call
	seen      uint64             // what the feed had come to then, at the least
	in        kvstore.Generation // of seen; "" if it was not to be told
	doubt     bool               // a write may have happened
	conflicts int
	surveys   int

	// draft is what was decided last, from from, outside of a turn; nil if nothing was.
	from, draft *state[T]
}

// failed returns err, after which nothing has happened, unless that is not known: what p is
// refused now may be the very consequence of what it did.
func (p *plan[T]) failed(err error) error {
	if err == nil || !p.doubt || errors.Is(err, backend.ErrUnknownOutcome) {
		return err
	}
	return unknown(err)
}

// unknown returns an ErrUnknownOutcome with the text of cause.
func unknown(cause error) error {
	return fmt.Errorf("%w: %v", backend.ErrUnknownOutcome, cause) //nolint:errorlint // it is not also unavailable
}

// decide returns the state that p leaves when it finds now; nil if there is nothing to do.
func (o *Objects[T]) decide(p *plan[T], now *state[T]) (*state[T], error) {
	epoch, err := o.epoch()
	if err != nil {
		return nil, err
	}
	v := &view{leases: o.leases, sure: p.sure}
	id := p.by.ID.String()
	switch {
	case p.named && p.once && now.bears(id):
		return nil, p.settle(nil)
	case p.by.Owner == "" || o.leases.Lives(p.by.Owner):
	case v.ended(p.by.Owner):
		return nil, p.settle(fmt.Errorf("owner %q: %w", p.by.Owner, backend.ErrLeaseExpired))
	default:
		return nil, errUnsure
	}
	turn := &coordination.Turn{Epoch: epoch, Ended: v.ended}
	switch {
	case now.present:
	case now.revision != 0: // of the marker
		turn.Floor = now.revision
	default:
		turn.Floor = p.seen
	}
	value, err := p.apply(now.value, turn)
	switch {
	case v.doubt:
		return nil, errUnsure
	case errors.Is(err, backend.ErrInvalid), errors.Is(err, backend.ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, p.settle(err)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.key(p.name), err)
	}
	same, err := o.same(now, raw)
	switch {
	case err != nil:
		return nil, err
	case same:
		return nil, p.settle(nil)
	case len(raw) > coordination.MaxRecord && len(raw) > len(now.raw):
		return nil, p.settle(&backend.LimitError{Quota: "bytes of a record", Limit: coordination.MaxRecord})
	case now.revision == 0 && o.kind.tokens && !o.founded(p):
		return nil, errUnsure // for its Floor
	case !p.sure && p.final != nil && p.final(&now.value, &value):
		return nil, errUnsure
	}
	if err := o.suspicious(p, now, epoch); err != nil {
		return nil, p.settle(err)
	}
	return &state[T]{value: value, raw: raw, present: true}, nil
}

// settle returns err where it, or that there is nothing to do, is decided for good.
func (p *plan[T]) settle(err error) error {
	if p.sure || p.loose {
		return err
	}
	return errUnsure
}

// suspicious returns why p, which is to happen once or whose sender says what it knew, may
// have happened or be of long ago.
func (o *Objects[T]) suspicious(p *plan[T], now *state[T], epoch uint32) error {
	since := p.by.Epoch != backend.Epoch(epoch) || now.revision > uint64(p.by.Known)
	switch {
	case p.once && p.doubt && p.conflicts > 0:
		return unknown(fmt.Errorf("%s has been written again since", o.key(p.name)))
	case p.by.Repeated && since:
		return fmt.Errorf("%w: it may have been done and superseded", backend.ErrConflict)
	case p.by.Dated && since:
		return fmt.Errorf("%w: %s is at revision %d, after what was known when this was sent",
			backend.ErrUnavailable, o.key(p.name), now.revision)
	}
	return nil
}

// same reports whether raw is what is stored.
func (o *Objects[T]) same(now *state[T], raw []byte) (bool, error) {
	if now.present {
		return bytes.Equal(raw, now.raw), nil
	}
	var none T
	empty, err := json.Marshal(none)
	return bytes.Equal(raw, empty), err
}

// write makes w. An outcome that is not known is found out by making the very same write
// again, for as long as there is time: doubt is set meanwhile, and stays so with a conflict
// after which w may yet have happened.
func (o *Objects[T]) write(ctx context.Context, w *kvstore.Write, doubt *bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for tries := 0; ; tries++ {
		revision, err := o.store.Write(ctx, *w)
		switch {
		case err == nil:
			*doubt = false
			return revision, nil
		case errors.Is(err, kvstore.ErrUnknownOutcome):
			*doubt = true
		case errors.Is(err, kvstore.ErrUnavailable) && *doubt:
		default:
			return 0, err
		}
		if sleep(ctx, tries) != nil {
			return 0, err
		}
	}
}

// survey says that what is known now is known after a barrier.
func (o *Objects[T]) survey(p *plan[T]) {
	at := o.tail.State()
	p.sure, p.seen, p.in = true, at.Revision, ""
	if at.State == kvstore.Live {
		p.in = at.Generation
	}
}

// again has p decided once more, after a barrier.
func (o *Objects[T]) again(ctx context.Context, p *plan[T]) error {
	if p.surveys++; p.sure { // the feed has not said of which store it is
		if err := sleep(ctx, p.surveys); err != nil {
			return err
		}
	}
	if err := o.sync(ctx); err != nil {
		return err
	}
	o.survey(p)
	return nil
}

// founded reports whether p may make a record from nothing: what the feed had come to is a
// revision of the store that the epoch, which was read since, is that of.
func (o *Objects[T]) founded(p *plan[T]) bool {
	at := o.tail.State()
	return p.sure && at.State == kvstore.Live && at.Generation == p.in
}

// patience bounds the making of one write, repeats included. Together with the least life of
// a record and its marker it shows that a Floor is none of long ago.
const patience = 30 * time.Second

// longest is the longest pause between two tries.
const longest = 50 * time.Millisecond

// sleep pauses for a random time that grows with tries.
func sleep(ctx context.Context, tries int) error {
	most := min(time.Millisecond<<min(tries, 6), longest)
	timer := time.NewTimer(time.Duration(mathrand.Int64N(int64(most)) + 1)) //nolint:gosec // no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return unavailable(context.Cause(ctx))
	}
}

// operationOf returns the id that the write of by is stored with.
func operationOf(by *backend.Write) string {
	if id := by.ID.String(); id != "" {
		return id
	}
	return rand.Text()
}

// translate returns the error of a write that has not succeeded as one of package backend.
func translate(err error) error {
	for _, e := range []struct{ from, to error }{
		{kvstore.ErrUnknownOutcome, backend.ErrUnknownOutcome},
		{kvstore.ErrTooLarge, backend.ErrTooLarge},
		{kvstore.ErrUnavailable, backend.ErrUnavailable},
	} {
		if errors.Is(err, e.from) {
			return fmt.Errorf("%w: %w", e.to, err)
		}
	}
	return err
}
