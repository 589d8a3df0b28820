package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/micro"
)

// errDrained is why requests that take too long are cancelled in the end.
var errDrained = errors.New("this node is stopping")

// cancelGrace is how long requests may take to notice that they have been cancelled.
const cancelGrace = time.Second

// drain ends the service and the requests that wait, finishes those in hand, and cancels
// what is still in hand after Config.DrainTimeout.
func (s *Server) drain(base context.Context, service micro.Service, h *hands[request], endWaits, cancel context.CancelCauseFunc) error {
	ctx, stop := context.WithTimeout(base, s.cfg.DrainTimeout)
	defer stop()
	if service != nil {
		if err := service.Stop(); err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "service not stopped cleanly", slog.Any("err", err))
		}
		s.deliver(ctx)
	}
	endWaits(errDrained)
	finished := h.close(ctx)
	if !finished {
		s.log.LogAttrs(ctx, slog.LevelWarn, "requests cancelled at the end of drain_timeout",
			slog.Int64("in_flight", h.inFlight.Load()), slog.Int64("waiting", h.waiting.Load()))
		cancel(errDrained)
		grace, end := context.WithTimeout(context.WithoutCancel(base), cancelGrace)
		defer end()
		finished = h.close(grace)
	}
	s.flush(base)
	if !finished {
		return fmt.Errorf("server: %d requests did not end when cancelled", h.inFlight.Load()+h.waiting.Load())
	}
	s.log.LogAttrs(base, slog.LevelInfo, "drained")
	return nil
}

// deliver waits until every request that NATS sent before it heard that the service ends
// has been handed on.
func (s *Server) deliver(ctx context.Context) {
	if s.nc.IsClosed() || s.nc.FlushWithContext(ctx) != nil {
		return
	}
	delivered := make(chan struct{})
	if s.nc.Barrier(func() { close(delivered) }) != nil {
		return
	}
	select {
	case <-delivered:
	case <-ctx.Done():
	}
}

// flush has the last replies reach NATS, if it is there.
func (s *responder) flush(base context.Context) {
	if !s.nc.IsConnected() {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(base), cancelGrace)
	defer stop()
	if err := s.nc.FlushWithContext(ctx); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "last replies not flushed", slog.Any("err", err))
	}
}
