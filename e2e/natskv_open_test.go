package e2e_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/natskv"
)

// patience is how long anything may take.
const patience = 30 * time.Second

func TestOpenRefusesAServerWithoutJetStreamAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, natstest.NoJetStream).Connect(t)
	_, err := natskv.Open(t.Context(), nc, bucket())
	if err == nil || !strings.Contains(err.Error(), "without JetStream") || !strings.Contains(err.Error(), "nats-server -js") {
		t.Errorf("Open() = %v, want an error that says to start NATS with JetStream", err)
	}
}

func TestOpenReportsEveryWrongSettingAtOnce(t *testing.T) {
	t.Parallel()
	_, err := natskv.Open(t.Context(), natstest.Start(t).Connect(t), natskv.Config{Bucket: "a.b", Prefix: "a..b", Replicas: 2})
	for _, setting := range []string{"bucket", "prefix", "replicas", "storage", "node", "timeout", "marker_ttl", "check"} {
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("Open() = %v, want it to name %s", err, setting)
		}
	}
}

func TestOpenRefusesABucketWithAnotherConfigurationAndNamesTheField(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*jetstream.StreamConfig){
		"max_msgs_per_subject": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 },
		"storage":              func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"deny_delete":          func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"discard":              func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"subjects":             func(c *jetstream.StreamConfig) { c.Subjects = []string{"$KV.e2e.event.>"} },
		"allow_atomic":         func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
		"max_age":              func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"republish":            func(c *jetstream.StreamConfig) { c.RePublish = nil },
		"subject_delete_marker_ttl": func(c *jetstream.StreamConfig) {
			c.SubjectDeleteMarkerTTL = time.Hour
		},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			openStore(t, srv.Connect(t), bucket())
			remake(t, operator(t, srv), change)

			_, err := natskv.Open(t.Context(), srv.Connect(t), bucket())
			different, ok := errors.AsType[*natskv.ConfigError](err)
			if !ok {
				t.Fatalf("Open() = %v, want a ConfigError", err)
			}
			if len(different.Differences) != 1 || different.Differences[0].Field != field {
				t.Fatalf("Open() = %v, want it to name %s alone", err, field)
			}

			s, err := natskv.Open(t.Context(), srv.Connect(t), bucket(func(c *natskv.Config) { c.Update = true }))
			if got := err == nil; got != different.Differences[0].Updatable {
				t.Errorf("Open() = %v with updates allowed", err)
			}
			if err == nil {
				_ = s.Close()
				openStore(t, srv.Connect(t), bucket())
			}
		})
	}
}

func TestOpenWaitsForAServerThatIsAway(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	srv.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := natskv.Open(ctx, nc, bucket()); !errors.Is(err, kvstore.ErrUnavailable) {
		t.Errorf("Open() = %v, want ErrUnavailable", err)
	}
	opened := make(chan error, 1)
	go func() {
		s, err := natskv.Open(t.Context(), nc, bucket())
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	srv.Restart(t)
	if err := <-opened; err != nil {
		t.Errorf("Open() = %v after the server came back", err)
	}
}
