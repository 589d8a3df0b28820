package natskv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/roostbus/roost/kvstore"
)

// patience is how long a try waits for its acknowledgement before it is repeated. It grows
// to maxPatience so that a slow server is not drowned.
const (
	patience    = 2 * time.Second
	maxPatience = 8 * time.Second
)

// Write applies w.
func (s *Store) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	m, err := s.prepare(&w)
	if err != nil {
		return 0, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if s.group == nil {
		return s.goOn(ctx, &w, m, nil)
	}
	revision, err := s.group.write(ctx, w.Key, m)
	if err == nil {
		return revision, nil
	}
	leaveBatch(m)
	if errors.Is(err, errAlone) {
		defer s.group.begin(1)()
		err = nil
	}
	return s.goOn(ctx, &w, m, err)
}

// prepare checks w, gives it an operation if it has none, and returns it as a message.
func (s *Store) prepare(w *kvstore.Write) (*nats.Msg, error) {
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if w.Operation == "" {
		w.Operation = nuid.Next()
	}
	return s.message(w), nil
}

// Barrier writes probe.<node>, unconditionally.
func (s *Store) Barrier(ctx context.Context) (uint64, error) { return s.barrier(ctx, "") }

// barrier is Barrier with an operation, by which the feed knows its message; or "".
func (s *Store) barrier(ctx context.Context, operation string) (uint64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	key := probePrefix + s.config.Node
	m := &nats.Msg{Subject: s.config.publishTo(s.config.subjectPrefix() + key), Header: nats.Header{}}
	life := s.life.Load()
	if before := s.probed.Load(); life != nil && before != nil && before.life == life {
		m.Header.Set(headerReplaces, before.String())
	}
	if operation != "" {
		m.Header.Set(HeaderOperation, operation)
	}
	revision, err := s.deliver(ctx, key, false,
		func(wait time.Duration) (uint64, error) { return s.publish(ctx, m, wait) },
		func(*jetstream.APIError, bool) (uint64, error) { return 0, errAgain })
	if err != nil {
		return 0, fmt.Errorf("barrier: %w", err)
	}
	s.probed.Store(&probed{life, revision})
	return revision, nil
}

// probed is the revision of a barrier in what was, before it was sent, known to be the
// life of the bucket: if it was another one already, then nobody who follows that takes
// the revision for one of it.
type probed struct {
	life     *kvstore.Generation
	revision uint64
}

func (p *probed) String() string {
	return string(*p.life) + " " + strconv.FormatUint(p.revision, 10)
}

// probePrefix begins the keys that Barrier writes.
const probePrefix = kvstore.ProbePrefix

// errAgain is what a resolver returns when the write may be sent again.
var errAgain = errors.New("the key is still at the expected revision")

// publish sends m once.
func (s *Store) publish(ctx context.Context, m *nats.Msg, wait time.Duration) (uint64, error) {
	answer, err := s.publisher.request(ctx, m, wait)
	if err != nil {
		return 0, err
	}
	return parseAck(answer.Data)
}

// resolver finds out what becomes of a write that a conflict was said about.
type resolver func(said *jetstream.APIError, lost bool) (uint64, error)

// deliver sends a write until its outcome is known or ctx is done. resolve is asked about
// a conflict; lost says, to it and at the beginning, that an earlier try may have happened.
// key is what is written, if it is one.
func (s *Store) deliver(ctx context.Context, key string, lost bool,
	send func(wait time.Duration) (uint64, error), resolve resolver,
) (uint64, error) {
	wait := patience
	giveUp := func(cause error) (uint64, error) {
		if lost {
			return 0, fmt.Errorf("%w: %w", kvstore.ErrUnknownOutcome, hide(cause))
		}
		if errors.Is(cause, kvstore.ErrUnavailable) {
			return 0, cause
		}
		return 0, fmt.Errorf("%w: %w", kvstore.ErrUnavailable, cause)
	}
	for pause := newBackoff(); ; {
		if ctx.Err() != nil {
			return giveUp(context.Cause(ctx))
		}
		if err := s.publisher.connected(ctx); err != nil {
			return giveUp(err)
		}
		revision, err := send(wait)
		if err == nil {
			return revision, nil
		}
		failure, isAPI := errors.AsType[*jetstream.APIError](err)
		switch {
		case isAPI:
			next, cause := judge(failure)
			err = cause
			// What is being written may be this very write: a message that is heard twice, or
			// by a leader beside its successor, is refused before it is made.
			lost = lost || next == perhaps || failure.ErrorCode == codeInFlight
			if next == conflict {
				revision, err = settle(key, failure, lost, resolve)
				if err == nil {
					return revision, nil
				}
				next = refused
				if errors.Is(err, errAgain) {
					next, err = again, cause
				}
				if next == refused {
					return 0, err
				}
			}
			if next == refused {
				return refuse(lost, err)
			}
		case errors.Is(err, kvstore.ErrClosed):
			return giveUp(err)
		case errors.Is(err, kvstore.ErrTooLarge):
			return refuse(lost, err)
		case errors.Is(err, errNotSent):
		default: // errLost, or an acknowledgement that cannot be read
			lost, wait = true, min(2*wait, maxPatience)
			if ctx.Err() == nil {
				continue
			}
		}
		if !pause.wait(ctx) {
			return giveUp(fmt.Errorf("%w: %w", context.Cause(ctx), err))
		}
	}
}

// settle resolves a conflict and says what is known where it cannot be.
func settle(key string, said *jetstream.APIError, lost bool, resolve resolver) (uint64, error) {
	revision, err := resolve(said, lost)
	if err == nil || errors.Is(err, errAgain) {
		return revision, err
	}
	if _, known := errors.AsType[*kvstore.ConflictError](err); known || errors.Is(err, kvstore.ErrUnknownOutcome) {
		return 0, err
	}
	if lost {
		return 0, fmt.Errorf("%w: %w", kvstore.ErrUnknownOutcome, hide(err))
	}
	return 0, &kvstore.ConflictError{Key: key}
}

// refuse is giveUp for an answer that is final for the last try, though not for those
// before it.
func refuse(lost bool, err error) (uint64, error) {
	if lost {
		return 0, fmt.Errorf("%w: %w", kvstore.ErrUnknownOutcome, hide(err))
	}
	return 0, err
}

// hide keeps the text of err and not what it matches: an unknown outcome is not also an
// unavailable store.
func hide(err error) error {
	if errors.Is(err, kvstore.ErrUnavailable) || errors.Is(err, kvstore.ErrTooLarge) {
		return errors.New(err.Error())
	}
	return err
}

// resolve finds out what a conflict about w means: whether w has happened, which is its
// revision, or may be sent again, or has not, or cannot be known.
func (s *Store) resolve(ctx context.Context, w *kvstore.Write, said *jetstream.APIError, lost bool) (uint64, error) {
	if !lost && behind(said, w.Expect) {
		return s.resolveAgreed(ctx, w)
	}
	current, err := s.last(ctx, w.Key)
	if err != nil && !errors.Is(err, kvstore.ErrNotFound) {
		return 0, err
	}
	switch {
	case w.Made(&current.Entry):
		return current.Revision, nil
	case current.Revision == w.Expect:
		return 0, errAgain
	case !lost || current.conditional && current.expect == w.Expect:
		return 0, &kvstore.ConflictError{Key: w.Key, Current: current.Entry, Known: true}
	}
	return 0, fmt.Errorf("%w: %s has been written again since", kvstore.ErrUnknownOutcome, w.Key)
}
