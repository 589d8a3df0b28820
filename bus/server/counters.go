package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore"
)

// add adds to a counter, as one operation under the request's id.
func (s *Server) add(ctx context.Context, r *request) (answer, error) {
	var q bus.AddRequest
	n, err := s.about(r, bus.KindCounter, bus.VerbAdd, &q)
	if err != nil {
		return answer{}, err
	}
	delta, err := q.Amount()
	if err != nil {
		return answer{}, err
	}
	if r.repeated && r.id == "" {
		return answer{}, fmt.Errorf("%w: an addition without a request id that was sent before may have been done", backend.ErrConflict)
	}
	by, err := r.identified(bus.Guard{}, "")
	if err != nil {
		return answer{}, err
	}
	sum, err := kvstore.AddIf(ctx, s.coordination.Counters, n.String(), delta, by.ID.String(), func() error { return s.ofThisEpoch(r) })
	if errors.Is(err, errOtherEpoch) { // whoever sends it anew needs to know of which it is
		_, stamp, _ := s.b.Lookup(ctx, backend.Key{Namespace: "-", Service: "-"}, backend.Read{})
		return answer{stamp: stamp}, err
	}
	return said(bus.AddReply(sum), backend.Stamp{}, counting(err))
}

var errOtherEpoch = fmt.Errorf("%w: it was sent in another epoch", backend.ErrUnavailable)

// ofThisEpoch keeps out an addition that was sent in another epoch: in a store that the
// registry has moved to nobody remembers whether it was done before.
func (s *Server) ofThisEpoch(r *request) error {
	if r.epoch == 0 || s.coordination.Epoch == nil {
		return nil
	}
	if now, ok := s.coordination.Epoch(); !ok || backend.Epoch(now) != r.epoch {
		return errOtherEpoch
	}
	return nil
}

// counter reads what the leader of the counters knows, or, where it is asked to be the
// newest, what adding nothing comes to: a leader that was deposed can answer a read.
func (s *Server) counter(ctx context.Context, r *request) (answer, error) {
	var q bus.ObjectRequest
	n, err := s.about(r, bus.KindCounter, bus.VerbGet, &q)
	if err != nil {
		return answer{}, err
	}
	if _, err := r.read(q.Freshness, nil); err != nil {
		return answer{}, err
	}
	if q.Consistency != backend.Linearizable.String() {
		value, err := s.coordination.Counters.Value(ctx, n.String())
		return said(bus.CounterReply{Value: value}, s.stampOfCounters(), counting(err))
	}
	sum, err := s.coordination.Counters.Add(ctx, n.String(), 0, "")
	if errors.Is(err, kvstore.ErrUnknownOutcome) { // of nothing
		err = fmt.Errorf("%w: %s", backend.ErrUnavailable, err.Error())
	}
	return said(bus.CounterReply{Value: sum.Value}, s.stampOfCounters(), counting(err))
}

// stampOfCounters returns what this node has seen, as the stamp of an answer that is new.
func (s *Server) stampOfCounters() backend.Stamp {
	stamp := s.stamps.orSeen(backend.Stamp{})
	stamp.Age = 0
	return stamp
}

// counters returns a page of the names of counters.
func (s *Server) counters(ctx context.Context, namespace, after string, limit int, _ backend.Read) (engine.Page, backend.Stamp, error) {
	stamp := s.stampOfCounters()
	if after != "" {
		if _, err := engine.ParseName(after); err != nil {
			return engine.Page{}, stamp, backend.Invalid("after", "%.40q is not from the reply before", after)
		}
	}
	prefix := ""
	if namespace != "" {
		prefix = backend.Token(namespace)
	}
	keys, err := s.coordination.Counters.Keys(ctx, prefix)
	if err != nil {
		return engine.Page{}, stamp, counting(err)
	}
	from, _ := slices.BinarySearchFunc(keys, after, func(key, after string) int {
		if key <= after {
			return -1
		}
		return 1
	})
	keys = keys[from:]
	var page engine.Page
	if len(keys) > limit {
		keys = keys[:limit]
		page.Next = keys[limit-1]
	}
	for _, key := range keys {
		n, err := engine.ParseName(key)
		if err != nil {
			return engine.Page{}, stamp, fmt.Errorf("counter %q: %v", key, err) //nolint:errorlint // not the caller's fault
		}
		page.Names = append(page.Names, n)
	}
	return page, stamp, nil
}

// counting returns an error of counters as one of a registry.
func counting(err error) error {
	for _, e := range []struct{ from, to error }{
		{kvstore.ErrUnknownOutcome, backend.ErrUnknownOutcome},
		{kvstore.ErrUnavailable, backend.ErrUnavailable},
		{kvstore.ErrInvalid, backend.ErrInvalid},
	} {
		if errors.Is(err, e.from) {
			return fmt.Errorf("%w: %s", e.to, strings.TrimSpace(err.Error()))
		}
	}
	return err
}
