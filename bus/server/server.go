package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Server answers the requests of one registry on one connection.
type Server struct {
	responder
	endpoints []*endpoint
	hands     atomic.Pointer[hands[request]]
	admission *admission
	full      *refusal
	ready     chan struct{}
	readyOnce sync.Once
}

// New returns a Server that does not answer yet; call Run. It answers through nc, which
// should serve nothing else, and closes neither nc nor b.
func New(nc *nats.Conn, b backend.Backend, cfg Config, opts ...Option) (*Server, error) {
	s := &Server{ready: make(chan struct{})}
	if err := s.set(nc, b, cfg, opts); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.admission = newAdmission(cfg.MaxInFlight)
	var err error
	if s.full, err = newRefusal("requests", cfg.MaxInFlight); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.endpoints = slices.Concat(s.newEndpoints(), s.objectEndpoints(), s.backupEndpoints(), s.switchEndpoints(), s.historyEndpoints())
	for _, e := range s.endpoints {
		e.ends = ends(e.name)
	}
	return s, nil
}

// Ready returns nil once requests reach the server.
func (s *Server) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("server not ready: %w", context.Cause(ctx))
	}
}

// subscribeTimeout bounds how long NATS may take to note the subscriptions.
const subscribeTimeout = 10 * time.Second

// errConnectionClosed ends Run.
var errConnectionClosed = errors.New("the connection to NATS was closed")

// Run answers requests until ctx is done. Then it takes no more, ends those that wait,
// finishes those in hand inside Config.DrainTimeout, and returns nil; those that take
// longer are cancelled. It
// returns an error where the service could not be added, the connection was closed, or
// a request did not end.
func (s *Server) Run(ctx context.Context) error {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	waits, endWaits := context.WithCancelCause(base)
	defer endWaits(nil)
	handle := func(ctx context.Context, r *request) (answer, error) { return s.handle(ctx, waits, r) }
	h := newHands(s.cfg.MaxInFlight, s.cfg.MaxWaiting, func(r *request) bool { return s.attend(base, r, handle) })
	s.hands.Store(h)
	closed := make(chan struct{})
	service, err := s.addService(base, h, closed)
	if err == nil {
		flush, stop := context.WithTimeout(ctx, subscribeTimeout)
		err = s.nc.FlushWithContext(flush)
		stop()
	}
	if err == nil {
		s.look(ctx)
		s.readyOnce.Do(func() { close(s.ready) })
		s.log.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("prefix", s.cfg.Prefix))
		select {
		case <-ctx.Done():
		case <-closed:
			err = errConnectionClosed
		}
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("server: %w", err)
	} else {
		err = nil
	}
	return errors.Join(err, s.drain(base, service, h, endWaits, cancel))
}

// addService adds the NATS service with all endpoints. closed is closed when it ends.
func (s *Server) addService(base context.Context, h *hands[request], closed chan struct{}) (micro.Service, error) {
	service, err := micro.AddService(s.nc, micro.Config{
		Name: bus.QueueGroup, Version: s.cfg.Version, QueueGroup: bus.QueueGroup,
		Description:  "service registry",
		Metadata:     map[string]string{"node": s.cfg.Node, "prefix": s.cfg.Prefix, "protocol": "1"},
		StatsHandler: s.endpointData,
		DoneHandler:  func(micro.Service) { close(closed) },
		ErrorHandler: func(_ micro.Service, e *micro.NATSError) {
			s.log.LogAttrs(base, slog.LevelWarn, "subscription failed",
				slog.String("subject", e.Subject), slog.Any("err", e))
		},
	})
	if err != nil {
		return nil, err
	}
	for _, e := range s.endpoints {
		handler := micro.HandlerFunc(func(m micro.Request) { s.accept(base, h, e, m) })
		opts := []micro.EndpointOpt{micro.WithEndpointSubject(e.subject), micro.WithEndpointMetadata(e.metadata())}
		if e.all {
			opts = append(opts, micro.WithEndpointQueueGroupDisabled())
		}
		err := service.AddEndpoint(e.name, handler, opts...)
		if err != nil {
			return service, fmt.Errorf("endpoint %s: %w", e.name, err)
		}
	}
	return service, nil
}

// attend serves a request in hand. It reports whether r was one that waited, which is in
// hand no more from then on.
func (s *Server) attend(base context.Context, r *request, handle func(context.Context, *request) (answer, error)) (waited bool) {
	who := r.asker
	if waited = s.serve(base, r, handle); !waited {
		s.admission.leave(who)
	}
	return waited
}

// accept hands a request on, or answers it where that takes less than handing it on. It
// runs on the one goroutine of its subscription.
func (s *Server) accept(base context.Context, h *hands[request], e *endpoint, m micro.Request) {
	reply := m.Reply()
	if s.forbidden(reply) {
		s.misdirected(base, e, reply)
		return
	}
	if reply == "" && e.reads {
		return
	}
	r := s.request(e)
	r.fill(m.Subject(), reply, m.Data(), m.Headers())
	if e.prompt != nil && s.servePromptly(base, r) {
		return
	}
	who := s.admission.asker(reply, r.header)
	r.asker = who
	beyond := s.admission.enter(who, h.inFlight.Load())
	switch h.take(r, e.health || e.ends || beyond) {
	case full:
		s.admission.leave(who)
		s.refuse(base, r, s.full)
	case closing:
		s.admission.leave(who)
		s.sendError(base, r, backend.Stamp{}, bus.ErrorFrom(errStopping))
		s.release(r)
	case accepted:
	}
}

// errStopping answers what comes too late.
var errStopping = fmt.Errorf("this node is stopping: %w", backend.ErrUnavailable)
