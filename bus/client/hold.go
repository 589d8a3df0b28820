package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// ErrReleased is why a context of a [Hold] ends that was released.
var ErrReleased = errors.New("released")

// Hold is a lock that is held, or permits of a semaphore, until [Hold.Release], or until
// the lease ends that it was acquired with. An operator may release it too, of which it is
// not told: what the [Hold.Token] is for.
type Hold struct {
	claim
	lease *Lease
	token Token
	lost  bool // an acquire may still be on its way
	done  chan struct{}
	over  func()
}

func newHold(cl claim, lease *Lease, token Token, lost bool) *Hold {
	done := make(chan struct{})
	return &Hold{
		claim: cl, lease: lease, token: token, lost: lost,
		done: done, over: sync.OnceFunc(func() { close(done) }),
	}
}

// Token is what to show to whatever is acted upon.
func (h *Hold) Token() Token { return h.token }

// Holder is what tells h apart from what else is held with the lease.
func (h *Hold) Holder() string { return h.holder }

// Valid reports whether h was not released and its lease is [Lease.Valid]: nobody else
// has been given what it holds, unless by an operator.
func (h *Hold) Valid() bool {
	select {
	case <-h.done:
		return false
	default:
		return h.lease.Valid()
	}
}

// Context returns a context that ends when h is not Valid any more, and never comes back;
// context.Cause says why. It costs a goroutine that ends with it: call cancel.
func (h *Hold) Context(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	return h.ContextBefore(ctx, 0)
}

// ContextBefore is to [Hold.Context] what [Lease.ContextBefore] is to [Lease.Context].
func (h *Hold) ContextBefore(ctx context.Context, early time.Duration) (_ context.Context, cancel context.CancelFunc) {
	return h.lease.until(ctx, early, h.done, func() error { return ErrReleased })
}

// Release gives h up: from the call on it is not Valid. An error means that it may still
// be held; it is then tried again in the background until the lease has ended or the
// client is closed. Release of what was released, also by the end of the lease, is nil.
func (h *Hold) Release(ctx context.Context) error {
	h.over()
	if h.lease.ended() {
		return nil
	}
	err := h.release(ctx, h.lease.Owner())
	if errors.Is(err, backend.ErrLeaseExpired) {
		return nil
	}
	if err != nil || h.lost {
		h.letGo(ctx, h.lease.Owner(), bus.User{Lease: h.lease.Secret(), Holder: h.holder}, h.lost)
	}
	return err
}

// releaseTime is how long the end of a critical section waits for the registry.
const releaseTime = time.Second

// run runs f while h is Valid, and releases h.
func (h *Hold) run(ctx context.Context, f func(ctx context.Context, token Token) error) error {
	defer func() {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), releaseTime, errDeadline)
		defer cancel()
		_ = h.Release(ctx) // goes on in the background
	}()
	working, cancel := h.Context(ctx)
	defer cancel()
	err := f(working, h.token)
	if err == nil && ctx.Err() == nil && !h.Valid() {
		return fmt.Errorf("%s was held no longer than %w", &h.claim, lostWhile(h.lease))
	}
	return err
}
