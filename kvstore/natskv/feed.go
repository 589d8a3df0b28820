package natskv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// feed is one running Feed. It makes one attempt after the other; each has a consumer of
// its own and ends with the first doubt.
//
// This is what jetstream.OrderedConsumer does, except that the latter goes on by sequence
// before anybody can ask whether the stream is still the same one.
type feed struct {
	store    *Store
	follower kvstore.Follower
	status   chan nats.Status

	// Of what has been shown. Guarded by the attempt's lock while one runs.
	generation kvstore.Generation // "" before the first snapshot
	seen       uint64             // everything up to it has been shown
	witnesses  witnesses          // what was shown last
	afresh     bool               // there must be a snapshot
	census     *census
	doubts     doubts
	heard      time.Time // when the bucket was last in touch
	stale      bool      // the follower has been told
}

// errDoubt means that what was shown may be wrong, so that there must be a snapshot.
var errDoubt = errors.New("the feed must begin afresh")

// Feed shows the bucket and then its changes to f.
func (s *Store) Feed(ctx context.Context, f kvstore.Follower) error {
	fd := &feed{
		store: s, follower: f,
		status: s.nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED),
	}
	defer s.nc.RemoveStatusListener(fd.status)
	for pause := newBackoff(); ; {
		before := fd.seen
		err := fd.attempt(ctx)
		if final := fd.final(ctx, err); final != nil {
			return final
		}
		if !fd.stale {
			fd.stale = true
			s.log.LogAttrs(ctx, slog.LevelWarn, "feed interrupted", slog.Uint64("revision", fd.seen), slog.Any("err", err))
			f.Stale(err)
		}
		if fd.seen != before {
			pause = newBackoff()
		}
		fd.recover(ctx, err, &pause)
	}
}

// final returns the error that ends the Feed, if err does.
func (f *feed) final(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case f.store.closed():
		return fmt.Errorf("feed: %w", kvstore.ErrClosed)
	case f.store.nc.IsClosed():
		return fmt.Errorf("feed: %w: %w", kvstore.ErrUnavailable, nats.ErrConnectionClosed)
	}
	if _, ok := errors.AsType[*ConfigError](err); ok {
		return fmt.Errorf("feed: %w: %w", kvstore.ErrUnavailable, err)
	}
	return nil
}

// recover waits until another attempt makes sense.
func (f *feed) recover(ctx context.Context, err error, pause *backoff) {
	if errors.Is(err, nats.ErrDisconnected) {
		// What was in flight when the connection broke is not answered any more.
		f.store.publisher.interrupt()
		wait, cancel := context.WithTimeout(ctx, time.Second)
		_ = f.store.publisher.connected(wait) // either way the next attempt tells
		cancel()
	}
	pause.wait(ctx)
}

// begin says where an attempt begins: with a snapshot, or after what has been shown; and
// how far it must come to have shown everything.
func (f *feed) begin(ctx context.Context, info *jetstream.StreamInfo) (snapshot bool, target uint64, err error) {
	target = info.State.LastSeq
	if f.generation != generation(info) {
		if f.generation != "" {
			f.store.log.LogAttrs(ctx, slog.LevelWarn, "bucket was made anew",
				slog.String("was", string(f.generation)), slog.String("generation", string(generation(info))))
		}
		return true, target, nil
	}
	if target < f.seen {
		// Either the bucket has fallen back, or a deposed leader has answered. A write
		// tells them apart.
		if target, err = f.store.Barrier(ctx); err != nil {
			return false, 0, err
		}
		if target <= f.seen {
			f.fell(ctx, target)
			return true, target, nil
		}
	}
	history, err := f.recognised(ctx)
	switch {
	case err != nil:
		return false, 0, err
	case history == elsewhere:
		f.fell(ctx, target)
		return true, target, nil
	case history == unproven:
		return true, target, nil
	}
	return f.afresh || time.Since(f.heard) > f.store.config.MarkerTTL/2, target, nil
}

// fell says that the bucket has lost what was shown.
func (f *feed) fell(ctx context.Context, now uint64) {
	f.store.log.LogAttrs(ctx, slog.LevelWarn, "bucket fell back", slog.Uint64("seen", f.seen), slog.Uint64("revision", now))
	f.stale = true
	f.follower.Stale(fmt.Errorf("%w from revision %d", kvstore.ErrFellBack, f.seen))
}
