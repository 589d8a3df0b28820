package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/roostbus/roost/kvstore"
)

const (
	headerIncrement = "Nats-Incr"
	headerMessageID = "Nats-Msg-Id"
)

// Counters are kvstore.Counters on a JetStream counter stream beside a Store's bucket. They
// end with the Store.
//
// A stream that is deleted is made again at the next addition, and all begins at zero. An
// operation is forgotten early where a counter had more than a thousand additions after it
// and then every server of the stream was restarted.
type Counters struct{ store *Store }

var _ kvstore.Counters = (*Counters)(nil)

// Add adds delta to the counter at key, and repeats that, as the same operation, until its
// outcome is known. A repeat of its own is a Repeated, too.
func (c *Counters) Add(ctx context.Context, key string, delta int64, operation string) (kvstore.Sum, error) {
	if err := kvstore.CheckCounter(key, operation); err != nil {
		return kvstore.Sum{}, fmt.Errorf("add: %w", err)
	}
	if operation == "" {
		operation = nuid.Next()
	}
	ctx, cancel := c.store.bounded(ctx)
	defer cancel()
	// What is sent again after that time might be added twice.
	ctx, end := context.WithTimeout(ctx, kvstore.CounterMemory*3/4)
	defer end()
	m := &nats.Msg{Subject: c.store.config.publishTo(c.store.config.counterPrefix() + key), Header: nats.Header{
		headerIncrement: {strconv.FormatInt(delta, 10)},
		headerMessageID: {key + " " + operation}, // they are those of the whole stream
	}}
	var ack counted
	sequence, err := c.store.deliver(ctx, key, false,
		func(wait time.Duration) (sequence uint64, err error) {
			ack, err = c.send(ctx, m, wait)
			return ack.Sequence, err
		},
		func(*jetstream.APIError, bool) (uint64, error) { return 0, errAgain })
	if err != nil {
		return kvstore.Sum{}, fmt.Errorf("add to %s: %w", key, err)
	}
	if !ack.Duplicate {
		return kvstore.Sum{Value: ack.Value}, nil
	}
	value, err := c.at(ctx, key, sequence)
	if err != nil {
		// It has been added, whatever keeps the sum from being known.
		return kvstore.Sum{}, fmt.Errorf("add to %s: %w: %w", key, kvstore.ErrUnknownOutcome, hide(err))
	}
	return kvstore.Sum{Value: value, Repeated: true}, nil
}

// counted is the acknowledgement of an addition.
type counted struct {
	Error     *jetstream.APIError `json:"error"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	Value     string              `json:"val"`
}

// send sends an addition once. Where nobody hears it the stream may have to be made.
func (c *Counters) send(ctx context.Context, m *nats.Msg, wait time.Duration) (ack counted, err error) {
	answer, err := c.store.publisher.request(ctx, m, wait)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		if wrong := c.ensure(ctx); wrong != nil && !transient(wrong) {
			return ack, fmt.Errorf("%w: %w", err, wrong)
		}
		return ack, err
	case err != nil:
		return ack, err
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return ack, fmt.Errorf("decode an acknowledgement: %w", err)
	}
	switch {
	case ack.Error != nil:
		return ack, ack.Error
	case ack.Sequence == 0 || !ack.Duplicate && ack.Value == "":
		return ack, errors.New("an acknowledgement without a sequence or a value")
	}
	return ack, nil
}

// at returns what the addition at sequence came to, or, if it is not kept, what the counter
// is now.
func (c *Counters) at(ctx context.Context, key string, sequence uint64) (string, error) {
	m, err := c.store.fetch(ctx, CountersOf(c.store.config.Bucket), pick{Sequence: sequence})
	if errors.Is(err, kvstore.ErrNotFound) {
		return c.value(ctx, key)
	}
	if err != nil {
		return "", err
	}
	return counterValue(m)
}

// Value returns what the counter at key has come to, as the stream's leader knows it.
func (c *Counters) Value(ctx context.Context, key string) (string, error) {
	if err := kvstore.CheckCounter(key, ""); err != nil {
		return "", fmt.Errorf("counter: %w", err)
	}
	ctx, cancel := c.store.bounded(ctx)
	defer cancel()
	value, err := c.value(ctx, key)
	if err != nil {
		return "", fmt.Errorf("counter %s: %w", key, err)
	}
	return value, nil
}

func (c *Counters) value(ctx context.Context, key string) (string, error) {
	m, err := c.store.fetch(ctx, CountersOf(c.store.config.Bucket), pick{Last: c.store.config.counterPrefix() + key})
	if errors.Is(err, kvstore.ErrNotFound) {
		return "0", nil
	}
	if err != nil {
		return "", err
	}
	return counterValue(m)
}

func counterValue(m *kept) (string, error) {
	var v counted
	if err := json.Unmarshal(m.Data, &v); err != nil || v.Value == "" {
		return "", fmt.Errorf("%w: message %d of %s is no counter", kvstore.ErrUnavailable, m.Sequence, m.Subject)
	}
	return v.Value, nil
}

// Keys returns the keys under prefix.
func (c *Counters) Keys(ctx context.Context, prefix string) ([]string, error) {
	filter := c.store.config.counterPrefix() + ">"
	if prefix != "" {
		if err := kvstore.CheckCounter(prefix, ""); err != nil {
			return nil, fmt.Errorf("counters: %w", err)
		}
		filter = c.store.config.counterPrefix() + prefix + ".>"
	}
	ctx, cancel := c.store.bounded(ctx)
	defer cancel()
	for pause := newBackoff(); ; {
		if c.store.closed() {
			return nil, fmt.Errorf("counters under %q: %w", prefix, kvstore.ErrClosed)
		}
		keys, err := c.keys(ctx, filter)
		if err == nil {
			return keys, nil
		}
		if !pause.wait(ctx) {
			return nil, fmt.Errorf("counters under %q: %w: %w", prefix, kvstore.ErrUnavailable, err)
		}
	}
}

func (c *Counters) keys(ctx context.Context, filter string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := c.store.js.Stream(ctx, CountersOf(c.store.config.Bucket))
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	var keys []string
	for subject := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subject, c.store.config.counterPrefix()))
	}
	slices.Sort(keys)
	return keys, nil
}
