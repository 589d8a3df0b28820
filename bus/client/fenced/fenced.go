package fenced

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// Key is the key that bears the latest token that has opened a bucket.
const Key = "_roost_fence"

// ErrFenced is what a write fails with, and was not done, when a later token has opened the
// bucket.
var ErrFenced = errors.New("a later token has opened the bucket")

// patience is how long a call takes whose context has no deadline.
const patience = 10 * time.Second

// pause is how long a call waits before it tries again what others' writes have kept from
// being done.
const pause = 20 * time.Millisecond

// fence is where tokens are kept. jetstream.KeyValue is one.
type fence interface {
	Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error)
	Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// publisher is who writes. jetstream.JetStream is one.
type publisher interface {
	PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error)
}

// Bucket writes to a bucket as the leader with a token. It may be used by many goroutines.
type Bucket struct {
	fence  fence
	js     publisher
	prefix string
	token  client.Token
	turn   chan struct{} // has an entry while somebody writes
	at     uint64        // the revision that the token was written at
}

// Open opens a bucket for the leader with token. ErrFenced where a later one has opened it;
// no leader with an earlier one writes to it from then on. The same token may open it again.
func Open(ctx context.Context, js jetstream.JetStream, bucket string, token client.Token) (*Bucket, error) {
	if token == "" {
		return nil, backend.Invalid("token", "must be given")
	}
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	if ttl := status.TTL(); ttl != 0 {
		return nil, fmt.Errorf("bucket %s: %w: it forgets its keys after %v, the token too", bucket, backend.ErrInvalid, ttl)
	}
	return open(ctx, kv, js, bucket, token)
}

func open(ctx context.Context, kv fence, js publisher, bucket string, token client.Token) (*Bucket, error) {
	b := &Bucket{fence: kv, js: js, prefix: "$KV." + bucket + ".", token: token, turn: make(chan struct{}, 1)}
	ctx, cancel := limited(ctx)
	defer cancel()
	for {
		err := b.raise(ctx)
		if err == nil {
			return b, nil
		}
		switch again := behind(err) || away(err); {
		case again && sleep(ctx):
		case away(err):
			return nil, fmt.Errorf("open bucket %s with token %s: %w: %w", bucket, token, backend.ErrUnavailable, err)
		default:
			return nil, fmt.Errorf("open bucket %s with token %s: %w", bucket, token, err)
		}
	}
}

// raise writes b's token where the fence has an earlier one.
func (b *Bucket) raise(ctx context.Context) error {
	found, err := b.fence.Get(ctx, Key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		b.at, err = b.fence.Create(ctx, Key, []byte(b.token))
		return err
	case err != nil:
		return err
	}
	switch latest := client.Token(found.Value()); {
	case b.token.Before(latest):
		return fmt.Errorf("%w: %s", ErrFenced, latest)
	case latest.Before(b.token):
		b.at, err = b.fence.Update(ctx, Key, []byte(b.token), found.Revision())
		return err
	}
	b.at = found.Revision()
	return nil
}

// Put writes value under key and returns its revision. [ErrFenced]; ErrUnknownOutcome of the
// client's where it may have been written.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	return b.write(ctx, key, nil, value)
}

// Delete removes what is under key, as a delete of the bucket does. It fails as
// [Bucket.Put] does.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.write(ctx, key, nats.Header{"KV-Operation": {"DEL"}}, nil)
	return err
}

func (b *Bucket) write(ctx context.Context, key string, header nats.Header, value []byte) (uint64, error) {
	if !valid(key) {
		return 0, backend.Invalid("key", "%.100q is not one that may be written", key)
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("write %s: %w: %w", key, backend.ErrUnavailable, context.Cause(ctx))
	}
	for {
		revision, err := b.publish(ctx, key, header, value)
		if err == nil {
			return revision, nil
		}
		if !behind(err) && !away(err) {
			return 0, fmt.Errorf("write %s: %w: %w", key, backend.ErrUnknownOutcome, err)
		}
		// Either a later token has opened the bucket, or, where it is replicated, a write
		// was under way.
		if raised := b.raise(ctx); raised != nil && !behind(raised) && !away(raised) {
			return 0, fmt.Errorf("write %s: %w", key, raised)
		}
		if !sleep(ctx) {
			return 0, fmt.Errorf("write %s: %w: %w", key, backend.ErrUnavailable, err)
		}
	}
}

// publish writes on the condition that the fence is as b left it.
func (b *Bucket) publish(ctx context.Context, key string, header nats.Header, value []byte) (uint64, error) {
	m := &nats.Msg{Subject: b.prefix + key, Header: nats.Header{}, Data: value}
	for name, values := range header {
		m.Header[name] = values
	}
	ack, err := b.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequenceForSubject(b.at, b.prefix+Key))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// behind reports whether err says that something else was written before.
func behind(err error) bool {
	var refused jetstream.JetStreamError
	if errors.As(err, &refused) && refused.APIError() != nil {
		code := refused.APIError().ErrorCode
		return code == jetstream.JSErrCodeStreamWrongLastSequence || code == jetstream.JSErrCodeStreamWrongLastSequenceConstant
	}
	return false
}

// away reports whether err says that nobody was there to be asked, so that nothing was
// done: a replicated bucket has no leader for a while after one has gone, and its servers
// answer only some time after it was made.
func away(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// valid reports whether key is one of a bucket's, other than the fence's.
func valid(key string) bool {
	if key == "" || key == Key || strings.HasPrefix(key, ".") || strings.HasSuffix(key, ".") || strings.Contains(key, "..") {
		return false
	}
	const allowed = "-/_=.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return strings.Trim(key, allowed) == ""
}

func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, patience)
}

// sleep reports whether ctx goes on after a pause.
func sleep(ctx context.Context) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
