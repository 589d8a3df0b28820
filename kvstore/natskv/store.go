package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// apiTimeout bounds one request to the JetStream API; a call makes as many as its context
// has time for.
const apiTimeout = 2 * time.Second

// Store is a kvstore.Store on a JetStream key-value bucket.
type Store struct {
	options

	config    Config
	nc        *nats.Conn
	js        jetstream.JetStream
	publisher *publisher
	asker     *asker
	group     *grouper                           // nil where writes are not grouped
	life      atomic.Pointer[kvstore.Generation] // what the feed follows; another pointer for another life
	probed    atomic.Pointer[probed]             // one of the newest barriers of ours

	mu       sync.Mutex
	scans    uint64
	scanning map[uint64]context.CancelFunc // the scans under way, by number

	closing sync.Once
	done    chan struct{} // closed by Close
}

var _ kvstore.Store = (*Store)(nil)

// bounded gives ctx a deadline if it has none.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.config.Timeout)
}

// Get returns the newest entry of key as the stream's leader knows it.
func (s *Store) Get(ctx context.Context, key string) (kvstore.Entry, error) {
	if err := (&kvstore.Write{Key: key}).Check(); err != nil {
		return kvstore.Entry{}, fmt.Errorf("get: %w", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	stored, err := s.last(ctx, key)
	if err != nil {
		return kvstore.Entry{}, fmt.Errorf("get %s: %w", key, err)
	}
	return stored.Entry, nil
}

// last asks the stream's leader for the newest message of key, as often as it takes.
func (s *Store) last(ctx context.Context, key string) (stored, error) {
	m, err := s.fetch(ctx, s.config.stream(), pick{Last: s.config.subjectPrefix() + key})
	if err != nil {
		return stored{}, err
	}
	var header nats.Header
	if len(m.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return stored{}, fmt.Errorf("%w: decode the headers of %s: %w", kvstore.ErrUnavailable, m.Subject, err)
		}
	}
	return decode(m.Subject[len(s.config.subjectPrefix()):], header, m.Data, m.Sequence, m.Time), nil
}

// pick is a message of a stream: the newest of a subject, or the one at a sequence.
type pick struct {
	Last     string `json:"last_by_subj,omitempty"`
	Sequence uint64 `json:"seq,omitempty"`
}

// kept is a message of a stream.
type kept struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// fetch asks a stream's leader for a message, as often as it takes. ErrNotFound.
func (s *Store) fetch(ctx context.Context, stream string, which pick) (*kept, error) {
	request, err := json.Marshal(which)
	if err != nil {
		return nil, err
	}
	for pause := newBackoff(); ; {
		if s.closed() {
			return nil, kvstore.ErrClosed
		}
		found, err := s.askLeader(ctx, stream, request)
		if err == nil || errors.Is(err, kvstore.ErrNotFound) {
			return found, err
		}
		if !pause.wait(ctx) {
			return nil, fmt.Errorf("%w: %w", kvstore.ErrUnavailable, err)
		}
	}
}

func (s *Store) askLeader(ctx context.Context, stream string, request []byte) (*kept, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	// Not a direct get: those are answered by replicas that lag behind.
	reply, err := s.nc.RequestWithContext(ctx, s.config.api()+"STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, err
	}
	var response struct {
		Error   *jetstream.APIError `json:"error"`
		Message *kept               `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &response); err != nil {
		return nil, fmt.Errorf("decode the leader's answer: %w", err)
	}
	switch {
	case response.Error != nil && response.Error.ErrorCode == codeNoMessage:
		return nil, kvstore.ErrNotFound
	case response.Error != nil:
		return nil, response.Error
	case response.Message == nil:
		return nil, errors.New("the leader's answer has no message")
	}
	return response.Message, nil
}

// Info describes the bucket as its leader knows it.
func (s *Store) Info(ctx context.Context) (kvstore.Info, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for pause := newBackoff(); ; {
		if s.closed() {
			return kvstore.Info{}, kvstore.ErrClosed
		}
		attempt, stop := context.WithTimeout(ctx, apiTimeout)
		info, err := s.streamInfo(attempt)
		stop()
		if err == nil {
			return kvstore.Info{Generation: generation(info), Last: info.State.LastSeq, Keys: info.State.Msgs}, nil
		}
		if !pause.wait(ctx) {
			return kvstore.Info{}, fmt.Errorf("info: %w: %w", kvstore.ErrUnavailable, err)
		}
	}
}

// Close ends running calls. It leaves the connection open.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.done)
		s.publisher.close()
		if s.group != nil {
			s.group.close()
		}
		s.asker.close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, cancel := range s.scanning {
			cancel()
		}
	})
	return nil
}

func (s *Store) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
