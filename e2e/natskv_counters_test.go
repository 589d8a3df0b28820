package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/natskv"
)

func openCounters(tb testing.TB, s *natskv.Store) *natskv.Counters {
	tb.Helper()
	c, err := s.Counters(tb.Context())
	if err != nil {
		tb.Fatalf("Counters() = %v", err)
	}
	return c
}

func TestNatskvCountersKeepTheContract(t *testing.T) {
	t.Parallel()
	kvstoretest.RunCounters(t, func(t *testing.T) kvstore.Counters {
		t.Helper()
		return openCounters(t, openStore(t, natstest.Start(t).Connect(t), bucket()))
	})
}

func TestALostAdditionIsAddedOnceWhetherItArrivedOrNot(t *testing.T) {
	t.Parallel()
	w := newWire(natstest.Start(t))
	c := openCounters(t, w.open(t))
	for i, arrived := range []bool{true, false} {
		cut := w.cutAt(fmt.Sprintf("the-match-%d", i), arrived)
		go func() {
			<-cut
			w.mend()
		}()
		want := kvstore.Sum{Value: fmt.Sprint(i + 1), Repeated: arrived}
		if got, err := c.Add(t.Context(), "n.c", 1, fmt.Sprintf("the-match-%d", i)); got != want || err != nil {
			t.Errorf("arrived %t: Add() = %+v, %v; want %+v", arrived, got, err, want)
		}
	}
}

func TestAnAdditionThatRunsOutOfTimeIsUnknownIfItWasSentAndElseUnavailable(t *testing.T) {
	t.Parallel()
	w := newWire(natstest.Start(t))
	c := openCounters(t, w.open(t))
	w.cutAt("the-match", true)
	for _, test := range []struct {
		operation string
		want, not error
	}{
		{"the-match", kvstore.ErrUnknownOutcome, kvstore.ErrUnavailable},
		{"another", kvstore.ErrUnavailable, kvstore.ErrUnknownOutcome},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := c.Add(ctx, "n.c", 1, test.operation)
		cancel()
		if !errors.Is(err, test.want) || errors.Is(err, test.not) {
			t.Errorf("Add(%s) = %v; want %v", test.operation, err, test.want)
		}
	}
}

func TestAnAdditionIsRecognisedAcrossARestartAndAThousandOthers(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	c := openCounters(t, openStore(t, srv.Connect(t), bucket()))
	if _, err := c.Add(t.Context(), "n.c", 5, "one"); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := c.Add(t.Context(), "n.c", 1, ""); err != nil {
			t.Fatal(err)
		}
	}
	srv.Stop()
	srv.Restart(t)
	if got, err := c.Add(t.Context(), "n.c", 5, "one"); got != (kvstore.Sum{Value: "5", Repeated: true}) || err != nil {
		t.Errorf("the repeat: %+v, %v; want 5, repeated", got, err)
	}
	if got, err := c.Value(t.Context(), "n.c"); got != "1005" || err != nil {
		t.Errorf("Value() = %s, %v; want 1005", got, err)
	}
}

func TestCountersLoseNothingAcrossTheLossOfTheStreamLeader(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a cluster of NATS servers: not with -short")
	}
	cluster := natstest.StartCluster(t, 3)
	const clients, each = 8, 100
	var counters [clients]*natskv.Counters
	for i := range counters {
		nc := cluster.Connect(t, cluster.Nodes)
		counters[i] = openCounters(t, openStore(t, nc, bucket(func(c *natskv.Config) { c.Replicas = 3 })))
	}
	half := make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	for i, c := range counters {
		all.Go(func() {
			for n := range each {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				_, err := c.Add(ctx, "n.c", 1, fmt.Sprintf("%d-%d", i, n))
				cancel()
				if err != nil {
					t.Errorf("Add() = %v", err)
					return
				}
				if n == each/3 {
					once.Do(func() { close(half) })
				}
			}
		})
	}
	<-half
	cluster.StreamLeader(t, natskv.CountersOf("e2e")).Stop()
	all.Wait()
	if got, err := counters[0].Value(t.Context(), "n.c"); got != fmt.Sprint(clients*each) || err != nil {
		t.Errorf("Value() = %s, %v; want %d", got, err, clients*each)
	}
}

func TestCountersThatWereDeletedBeginAtZero(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	c := openCounters(t, openStore(t, nc, bucket()))
	if _, err := c.Add(t.Context(), "n.c", 5, "one"); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), natskv.CountersOf("e2e")); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Add(t.Context(), "n.c", 2, "two"); got != (kvstore.Sum{Value: "2"}) || err != nil {
		t.Errorf("Add() = %+v, %v; want 2", got, err)
	}
}

func TestAStreamThatCannotHoldCountersIsAConfigError(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: natskv.CountersOf("e2e"), Subjects: []string{"$KV.e2e_counters.>"}}); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, nc, bucket())
	_, err = s.Counters(t.Context())
	if e, ok := errors.AsType[*natskv.ConfigError](err); !ok || e.Differences[0].Field != "allow_msg_counter" {
		t.Errorf("Counters() = %v; want a ConfigError about allow_msg_counter", err)
	}
}
