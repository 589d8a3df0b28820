package fenced

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
)

const token = "00000001-0000000000000001"

// TestABucketWithoutALeaderIsAskedUntilItHasOne has nobody answer what a bucket is asked, as
// it is just after it was made and after its leader has gone.
func TestABucketWithoutALeaderIsAskedUntilItHasOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &bucket{away: 5}
		b, err := open(t.Context(), s, s, "plans", token)
		if err != nil {
			t.Fatal("open:", err)
		}
		s.away = 5
		if revision, err := b.Put(t.Context(), "a", []byte("x")); err != nil || revision != s.revision {
			t.Errorf("Put() = %d, %v, want revision %d", revision, err, s.revision)
		}
	})
}

func TestABucketThatStaysWithoutALeaderIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		s := &bucket{away: 1 << 30}
		if _, err := open(ctx(), s, s, "plans", token); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("open() = %v, want ErrUnavailable", err)
		}
		b := &Bucket{fence: s, js: s, turn: make(chan struct{}, 1)}
		if _, err := b.Put(ctx(), "a", nil); !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, backend.ErrUnknownOutcome) {
			t.Errorf("Put() = %v, want ErrUnavailable and no unknown outcome: nothing was done", err)
		}
	})
}

// bucket is one whose servers are away for as many requests as it says.
type bucket struct {
	away     int
	revision uint64
}

func (s *bucket) there(missing error) error {
	if s.away > 0 {
		s.away--
		return fmt.Errorf("asked in vain: %w", missing)
	}
	return nil
}

func (s *bucket) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	if err := s.there(nats.ErrNoResponders); err != nil {
		return nil, err
	}
	return nil, jetstream.ErrKeyNotFound
}

func (s *bucket) Create(context.Context, string, []byte, ...jetstream.KVCreateOpt) (uint64, error) {
	return s.write()
}

func (s *bucket) Update(context.Context, string, []byte, uint64) (uint64, error) { return s.write() }

func (s *bucket) write() (uint64, error) {
	if err := s.there(jetstream.ErrNoStreamResponse); err != nil {
		return 0, err
	}
	s.revision++
	return s.revision, nil
}

func (s *bucket) PublishMsg(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	revision, err := s.write()
	return &jetstream.PubAck{Sequence: revision}, err
}
