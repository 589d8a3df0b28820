package natskv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// counterHistory is how many additions to one counter the stream keeps. The newest is the
// counter; the others are there because a server that starts knows only those operations
// whose messages it still has.
const counterHistory = 1024

// Counters makes the stream <bucket>_counters if there is none, and returns the Counters in
// it. It waits, until ctx is done, for a server that is starting. A stream with another
// configuration is a [ConfigError].
func (s *Store) Counters(ctx context.Context) (*Counters, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	c := &Counters{store: s}
	waits := newVigil(s.log)
	for pause := newBackoff(); ; {
		err := c.ensure(ctx)
		if err == nil {
			return c, nil
		}
		if !transient(err) {
			return nil, fmt.Errorf("natskv: open counters of %s: %w", s.config.Bucket, err)
		}
		waits.because(ctx, err)
		if !pause.wait(ctx) {
			return nil, fmt.Errorf("natskv: open counters of %s: %w: %w", s.config.Bucket, kvstore.ErrUnavailable, err)
		}
	}
}

// CountersOf returns the name of the stream with the counters beside a bucket. Its subjects
// begin as those of a bucket of that name would, so that who may write to buckets need not
// be said twice.
func CountersOf(bucket string) string { return bucket + "_counters" }

func (c Config) counterPrefix() string { return "$KV." + CountersOf(c.Bucket) + "." }

// counterConfig returns the stream of the counters as it is made.
func (c Config) counterConfig() jetstream.StreamConfig {
	sc := jetstream.StreamConfig{
		Name:              CountersOf(c.Bucket),
		Description:       "Roost: counters",
		Subjects:          []string{c.counterPrefix() + ">"},
		Retention:         jetstream.LimitsPolicy,
		MaxMsgsPerSubject: counterHistory,
		Discard:           jetstream.DiscardOld,
		Storage:           c.Storage.jetstream(),
		Replicas:          c.replicas(),
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Duplicates:        kvstore.CounterMemory,
		DenyDelete:        true,
		AllowMsgCounter:   true,
	}
	if c.Placement.Cluster != "" || len(c.Placement.Tags) > 0 {
		sc.Placement = &jetstream.Placement{Cluster: c.Placement.Cluster, Tags: c.Placement.Tags}
	}
	return sc
}

// ensure makes the stream if there is none and checks the configuration of one that it did
// not make.
func (c *Counters) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	want := c.store.config.counterConfig()
	stream, err := c.store.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = c.store.create(ctx, want)
		if err == nil {
			c.store.log.LogAttrs(ctx, slog.LevelInfo, "counters made", slog.String("stream", want.Name))
			return nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("make the counters: %w", err)
		}
		stream, err = c.store.js.Stream(ctx, want.Name) // somebody else made it meanwhile
	}
	if err != nil {
		return fmt.Errorf("look at the counters: %w", err)
	}
	is := &stream.CachedInfo().Config
	if c.store.config.scales() {
		want.Replicas = is.Replicas
	}
	e := &ConfigError{Bucket: want.Name}
	e.differ(false, "allow_msg_counter", is.AllowMsgCounter, true)
	e.differ(false, "subjects", is.Subjects, want.Subjects)
	e.differ(false, "storage", is.Storage, want.Storage)
	e.differ(false, "max_age", is.MaxAge, time.Duration(0))
	e.differ(false, "max_msgs", is.MaxMsgs, want.MaxMsgs)
	e.differ(true, "duplicate_window", is.Duplicates, want.Duplicates)
	e.differ(true, "num_replicas", is.Replicas, want.Replicas)
	if len(e.Differences) == 0 {
		return nil
	}
	if !c.store.config.Update || !e.updatable() {
		return e
	}
	changed := *is
	changed.Duplicates, changed.Replicas = want.Duplicates, want.Replicas
	if _, err := c.store.js.UpdateStream(ctx, changed); err != nil {
		return fmt.Errorf("update the counters: %w", err)
	}
	return nil
}
