package client

import (
	"context"
	"errors"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client/follow"
)

// follow goes by e's rule until ctx is over or an error ends it: it has read make what the
// rule asks for, again after a pause where the registry does not answer, and has hear take
// in what comes next. hear returns false when retry fired first, or something else did
// after which it makes sense to try at once.
func (e *ear) follow(ctx context.Context, read func(follow.Request) error, hear func(retry <-chan time.Time) (heard bool, err error)) error {
	var retry <-chan time.Time
	var pause backoff
	for {
		if r, want := e.rule.Wanted(); want && retry == nil {
			switch err := read(r); {
			case err == nil:
				pause = backoff{}
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, backend.ErrCompacted):
				// the rule asks for another
			case errors.Is(err, backend.ErrUnavailable) && !errors.Is(err, backend.ErrClosed):
				retry = time.After(pause.step())
			default:
				return err
			}
			continue
		}
		heard, err := hear(retry)
		switch {
		case err != nil:
			return err
		case !heard:
			retry = nil
		}
	}
}
