package server

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// refusal is the reply to whatever is beyond one limit. It is always the same, and encoded
// once: what a node spends on saying no is taken from what it could do.
type refusal struct {
	code, text []string
	body       []byte
	last       atomic.Pointer[stamped]
}

func newRefusal(quota string, limit int) (*refusal, error) {
	e := bus.ErrorFrom(&backend.LimitError{Quota: quota, Limit: int64(limit)})
	body, err := encode(e)
	return &refusal{code: []string{strconv.Itoa(e.Code.Number())}, text: []string{e.Header()}, body: body}, err
}

// header returns the headers of a refusal by a node that has come as far as stamp says. They
// must not be changed.
func (f *refusal) header(stamp backend.Stamp) nats.Header {
	stamp.Age = 0
	if last := f.last.Load(); last != nil && last.stamp == stamp {
		return last.header
	}
	now := &stamped{stamp: stamp, header: make(nats.Header, 4)}
	stampHeader(now.header, stamp)
	now.header[bus.HeaderErrorCode], now.header[bus.HeaderError] = f.code, f.text
	f.last.Store(now)
	return now.header
}

// refuse answers r with f, and forgets it.
func (s *responder) refuse(ctx context.Context, r *request, f *refusal) {
	r.to.stats.refused.Add(1)
	s.obs.refused(r.to.name)
	_ = s.send(ctx, r, f.header(s.stamps.orSeen(backend.Stamp{})), f.body) // it fits any max_payload
	s.release(r)
}
