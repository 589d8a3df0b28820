package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// answer is what a request comes to. body may be shared, or the request's own buffer.
type answer struct {
	body  []byte
	stamp backend.Stamp
}

// serve carries out r with handle, replies, and forgets it. base is the parent of its
// context. It reports whether r was one that waited.
func (s *responder) serve(base context.Context, r *request, handle func(context.Context, *request) (answer, error)) (waited bool) {
	a, err := s.carryOut(base, r, handle)
	waited = r.waited
	s.finish(base, r, a, err)
	return waited
}

// servePromptly is serve for a request that is known not to wait. It reports whether r
// was one; if not, nothing has been done.
func (s *responder) servePromptly(base context.Context, r *request) bool {
	a, err := s.carryOut(base, r, r.to.prompt)
	if errors.Is(err, errMayWait) {
		return false
	}
	s.finish(base, r, a, err)
	return true
}

// errMayWait is the answer of a prompt handler to what may have to wait.
var errMayWait = errors.New("may have to wait")

func (s *responder) finish(ctx context.Context, r *request, a answer, err error) {
	code := s.conclude(ctx, r, a, err)
	if s.obs.watches() {
		s.obs.Answered(r.to.name, code, time.Since(r.received))
	}
	s.release(r)
}

// handle runs the handler of r's endpoint inside r's deadline. waits is the parent of its
// context if it waits.
func (s *responder) handle(base, waits context.Context, r *request) (answer, error) {
	if err := s.check(r); err != nil {
		return answer{}, err
	}
	ctx := &deadline{parent: base, waits: waits, at: r.received.Add(r.timeout)}
	defer ctx.end()
	r.deadline = ctx
	return r.to.handle(ctx, r) //nolint:contextcheck // deadline has base as its parent
}

// check reports what is wrong with r whatever it asks for.
func (s *responder) check(r *request) error {
	if err := r.parseHeaders(s.cfg.DefaultTimeout); err != nil {
		return err
	}
	if len(r.data) > s.cfg.MaxRequest {
		return &backend.TooLargeError{Field: "request", Size: int64(len(r.data)), Limit: int64(s.cfg.MaxRequest)}
	}
	return nil
}

// carryOut runs handle. A panic in it becomes an internal error.
func (s *responder) carryOut(base context.Context, r *request, handle func(context.Context, *request) (answer, error)) (a answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.LogAttrs(base, slog.LevelError, "request handler panicked",
				slog.String("subject", r.subject), slog.Any("err", v), slog.String("stack", string(debug.Stack())))
			s.obs.panicked(r.to.name, v)
			a, err = answer{}, &bus.Error{Code: bus.CodeInternal, Message: bus.ErrInternal.Error()}
		}
	}()
	return handle(base, r)
}

// conclude sends the reply and returns its code.
func (s *responder) conclude(ctx context.Context, r *request, a answer, err error) bus.Code {
	if err == nil {
		if err = s.send(ctx, r, s.header(r, a.stamp), a.body); err == nil {
			r.to.stats.answered.Add(1)
			return ""
		}
		err = s.oversize(r, len(a.body), err)
	}
	r.to.stats.failed.Add(1)
	e := s.failure(ctx, r, err)
	s.sendError(ctx, r, a.stamp, e)
	return e.Code
}

// header returns the headers of a success.
func (s *responder) header(r *request, stamp backend.Stamp) nats.Header {
	switch {
	case r.to.keepsAlive:
		return s.stamps.ofKeepalive()
	case r.to.reads:
		return s.stamps.ofRead(stamp)
	}
	return s.stamps.ofWrite(stamp)
}

// errOversize means that a reply does not fit and was not sent.
var errOversize = errors.New("reply larger than max_payload")

// send publishes a reply. A connection that is gone has nobody behind it to be told so.
func (s *responder) send(ctx context.Context, r *request, header nats.Header, body []byte) error {
	if r.reply == "" {
		return nil
	}
	r.out = nats.Msg{Subject: r.reply, Header: header, Data: body}
	switch err := s.nc.PublishMsg(&r.out); {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", errOversize, err)
	default:
		s.log.LogAttrs(ctx, slog.LevelWarn, "reply not sent",
			slog.String("subject", r.subject), slog.Any("err", err))
		return nil
	}
}

// oversize is the error in place of a reply that does not fit. A write has been done all
// the same, so it must not look as if it had not.
func (s *responder) oversize(r *request, size int, err error) error {
	if !r.to.reads {
		return fmt.Errorf("%w: %w", backend.ErrUnknownOutcome, err)
	}
	return &backend.TooLargeError{Field: "reply", Size: int64(size), Limit: int64(s.budget())}
}

// sendError sends a failed reply, without the holder's registration if that is too much.
func (s *responder) sendError(ctx context.Context, r *request, stamp backend.Stamp, e *bus.Error) {
	if r.reply == "" {
		return
	}
	header := s.stamps.ofFailure(stamp, r.to.reads)
	header[bus.HeaderErrorCode] = []string{strconv.Itoa(e.Code.Number())}
	header[bus.HeaderError] = []string{e.Header()}
	for _, shorter := range []func(){func() {}, func() { e.Holder = nil }, func() { *e = bus.Error{Code: e.Code} }} {
		shorter()
		body, err := encode(e)
		if err == nil && !errors.Is(s.send(ctx, r, header, body), errOversize) {
			return
		}
	}
	s.log.LogAttrs(ctx, slog.LevelError, "no reply fits max_payload", slog.String("subject", r.subject))
}

// failure turns err into what is sent. A deadline that a Backend passed on as it came is
// given the meaning that it has for the request.
func (s *responder) failure(ctx context.Context, r *request, err error) *bus.Error {
	e := bus.ErrorFrom(err)
	if e.Code != bus.CodeInternal {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		meaning := backend.ErrUnknownOutcome
		if r.to.reads {
			meaning = backend.ErrUnavailable
		}
		return bus.ErrorFrom(fmt.Errorf("%w: %w", meaning, err))
	}
	s.log.LogAttrs(ctx, slog.LevelError, "request failed",
		slog.String("subject", r.subject), slog.Any("err", err))
	return e
}

// headerRoom is what the headers of a reply take at most, besides those of an error.
const headerRoom = 192

// budget returns how many bytes the body of a reply may have.
func (s *responder) budget() int { return max(int(s.nc.MaxPayload())-headerRoom, 1) }

// maxCursor is the greatest length of a page's next: three names of three characters a
// byte, two numbers, as base64.
const maxCursor = (3*3*backend.MaxName+40)*4/3 + 4

// pageBudget returns how many bytes the entries of a list may have: less than the budget
// by what is around them and between them.
func (s *responder) pageBudget() int {
	budget := s.budget()
	return max(budget-budget/64-maxCursor-64, 1)
}
