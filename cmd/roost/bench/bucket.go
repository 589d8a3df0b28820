package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore/natskv"
)

// bucket is a key-value bucket made as the registry makes its own, with one ordered
// consumer on it, that nobody uses but the baseline.
type bucket struct {
	name    string
	streams []jetstream.JetStream // by connection
	kvs     []jetstream.KeyValue
}

var errNoJetStream = errors.New("it needs JetStream in this account; of an embedded server, start it with --trusted-clients")

// newBucket makes a bucket.
func (w *World) newBucket(ctx context.Context) (*bucket, error) { return w.newReplicated(ctx, 1) }

// newReplicated makes a bucket with so many replicas.
func (w *World) newReplicated(ctx context.Context, replicas int) (*bucket, error) {
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix, config.Timeout, config.Replicas = w.scratch, w.scratch, w.c.Timeout, replicas
	store, err := natskv.Open(ctx, w.clients[0], config)
	if err != nil {
		return nil, fmt.Errorf("the baseline: %w: %w", errNoJetStream, err)
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	b := &bucket{name: config.Bucket}
	for _, nc := range w.clients {
		js, err := jetstream.New(nc)
		if err != nil {
			return nil, err
		}
		kv, err := js.KeyValue(ctx, b.name)
		if err != nil {
			return nil, err
		}
		b.streams, b.kvs = append(b.streams, js), append(b.kvs, kv)
	}
	w.cleanups = append(w.cleanups, func(ctx context.Context) error { return b.streams[0].DeleteKeyValue(ctx, b.name) })
	return b, w.order(order{Follow: b.stream()})
}

func (b *bucket) stream() string { return "KV_" + b.name }

// subject returns where a message for key is published.
func (b *bucket) subject(key string) string { return "$KV." + b.name + "." + key }

func (b *bucket) kv(worker int) jetstream.KeyValue { return b.kvs[worker%len(b.kvs)] }

func (b *bucket) js(worker int) jetstream.JetStream { return b.streams[worker%len(b.streams)] }

// count returns how many keys there are.
func (b *bucket) count(ctx context.Context) (int, error) {
	s, err := b.streams[0].Stream(ctx, b.stream())
	if err != nil {
		return 0, err
	}
	return int(s.CachedInfo().State.Msgs), nil //nolint:gosec // it fits in memory
}
