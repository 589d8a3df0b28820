package server

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// responder is what those who answer requests have in common.
type responder struct {
	nc       *nats.Conn
	b        backend.Backend
	cfg      Config
	subjects bus.Subjects
	stamps   stamps
	requests sync.Pool // of *request
	options
}

// set gives s what it needs. It is called once, before everything else.
func (s *responder) set(nc *nats.Conn, b backend.Backend, cfg Config, opts []Option) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	subjects, err := bus.NewSubjects(cfg.Prefix)
	if err != nil {
		return err
	}
	s.nc, s.b, s.cfg, s.subjects = nc, b, cfg, subjects
	s.log = slog.New(slog.DiscardHandler)
	s.requests.New = func() any { return new(request) }
	for _, o := range opts {
		o.apply(&s.options)
	}
	return nil
}

// lookTimeout bounds how long a first look at the Backend may take.
const lookTimeout = time.Second

// look sees how far the Backend has come, for failures that come before any answer.
func (s *responder) look(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	if h, err := s.b.Health(ctx); err == nil {
		s.stamps.saw(h.Stamp)
	}
}

// request returns one to e that is to be filled.
func (s *responder) request(e *endpoint) *request {
	r, _ := s.requests.Get().(*request)
	r.to = e
	return r
}

func (s *responder) release(r *request) {
	r.forget()
	s.requests.Put(r)
}

// forbidden reports whether nothing may be sent to a reply subject. A NATS server does
// not check whether a requester could have published there; the registry could, and what
// it published would be a write into its own bucket, an event, or a call of JetStream.
func (s *responder) forbidden(reply string) bool {
	if strings.HasPrefix(reply, "$") {
		return true
	}
	rest, ok := strings.CutPrefix(reply, s.cfg.Prefix)
	return ok && (rest == "" || rest[0] == '.')
}

// misdirected counts, and logs the first and then ever fewer.
func (s *responder) misdirected(ctx context.Context, e *endpoint, reply string) {
	n := e.stats.misdirected.Add(1)
	s.obs.misdirected(e.name, reply)
	if n&(n-1) == 0 {
		s.log.LogAttrs(ctx, slog.LevelWarn, "request with a forbidden reply subject refused",
			slog.String("subject", e.subject), slog.String("reply", reply), slog.Int64("count", n))
	}
}
