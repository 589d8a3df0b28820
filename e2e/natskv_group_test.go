package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/natskv"
)

// writersAtOnce are so many that groups are made of their writes, or at least tried.
const writersAtOnce = 64

// synced has writes be made in groups; that it be true takes none of the promises.
func synced(c *natskv.Config) { c.Synced = true }

func TestNatskvKeepsTheContractMakingGroups(t *testing.T) {
	t.Parallel()
	kvstoretest.Run(t, kvstoretest.Profile{}, func(t *testing.T) kvstore.Store {
		t.Helper()
		return openStore(t, natstest.Start(t).Connect(t), bucket(synced))
	})
}

// grouped returns how many of the entries under a subject were made as part of a batch.
func grouped(t *testing.T, nc *nats.Conn, subject string) (batched, all int) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(t.Context(), "KV_e2e", jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}, HeadersOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		all++
		if m.Headers().Get("Nats-Batch-Id") != "" {
			batched++
		}
		if place, err := m.Metadata(); err != nil || place.NumPending == 0 {
			return batched, all
		}
	}
}

// atOnce makes every write by a caller of its own.
func atOnce(t *testing.T, s kvstore.Store, writes []kvstore.Write) []kvstore.Written {
	t.Helper()
	results := make([]kvstore.Written, len(writes))
	var all sync.WaitGroup
	for i, w := range writes {
		all.Go(func() { results[i].Revision, results[i].Err = s.Write(t.Context(), w) })
	}
	all.Wait()
	return results
}

// P4b, R2: writes at once are made as groups, and each caller learns what became of its
// own: those that conflict of the conflict, and all others of their revisions.
func TestEachOfManyWritesMadeAsAGroupGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	s := openStore(t, nc, bucket(synced))
	taken := mustWrite(t, s, kvstore.Write{Key: "group.taken"})
	for round := 0; ; round++ {
		if round > 0 {
			if batched, all := grouped(t, nc, "$KV.e2e.group.>"); batched > 0 {
				t.Logf("%d of %d were made in groups", batched, all)
				return
			}
		}
		if round == 100 {
			t.Fatal("no group was made of 100 times as many writes at once")
		}
		writes := make([]kvstore.Write, 2*writersAtOnce)
		for i := range writes {
			writes[i] = kvstore.Write{Key: fmt.Sprintf("group.%d.%d", round, i), Value: fmt.Append(nil, i)}
		}
		if round%2 == 1 {
			writes[writersAtOnce].Key = "group.taken"
		}
		for i, r := range atOnce(t, s, writes) {
			if conflict, ok := errors.AsType[*kvstore.ConflictError](r.Err); writes[i].Key == "group.taken" {
				if !ok || conflict.Current.Revision != taken {
					t.Fatalf("a write to a key that exists = %+v, want a conflict with %d", r, taken)
				}
				continue
			}
			if r.Err != nil {
				t.Fatalf("write %s = %v", writes[i].Key, r.Err)
			}
			if e, err := s.Get(t.Context(), writes[i].Key); err != nil || e.Revision != r.Revision || string(e.Value) != fmt.Sprint(i) {
				t.Fatalf("Get(%s) = %d %q, %v, want %d %d", writes[i].Key, e.Revision, e.Value, err, r.Revision, i)
			}
		}
	}
}

// R2: the connection is cut at the commit of a group, before or after it has arrived.
func TestAGroupThatIsCutOffHappensOnce(t *testing.T) {
	t.Parallel()
	for _, pass := range []bool{true, false} {
		t.Run(fmt.Sprintf("WhatWasSentArrives=%t", pass), func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			w := newWire(srv)
			s := w.open(t, synced)
			cut := w.cutAt("Nats-Batch-Commit", pass)
			go func() {
				<-cut
				w.mend()
			}()
			all := uint64(0)
			for round := 0; ; round++ {
				select {
				case <-cut:
				default:
					if round == 100 {
						t.Fatal("no group was sent")
					}
					writes := make([]kvstore.Write, writersAtOnce)
					for i := range writes {
						writes[i] = kvstore.Write{Key: fmt.Sprintf("group.%d.%d", round, i)}
					}
					for i, r := range atOnce(t, s, writes) {
						if r.Err != nil {
							t.Fatalf("write %s = %v, want a revision", writes[i].Key, r.Err)
						}
						if e, err := s.Get(t.Context(), writes[i].Key); err != nil || e.Revision != r.Revision {
							t.Errorf("Get(%s) = %d, %v, want %d", writes[i].Key, e.Revision, err, r.Revision)
						}
					}
					all += writersAtOnce
					continue
				}
				break
			}
			if after, err := s.Info(t.Context()); err != nil || after.Last != all || after.Keys != all {
				t.Errorf("Info() = %+v, %v, want each of %d writes to have happened once", after, err, all)
			}
		})
	}
}

// R2: NATS is killed while groups are being committed, and nothing acknowledged is lost.
func TestNoAcknowledgedWriteIsLostWhenNATSIsKilledWhileGroupsAreMade(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a server in a process of its own is killed four times")
	}
	t.Parallel()
	srv := natstest.StartSynced(t)
	nc := srv.Connect(t)
	s := openStore(t, nc, bucket(synced))
	m := kvstoretest.Follow(t, s)
	l := &load{store: s, timeout: patience}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.run(ctx, t, writersAtOnce)
		close(done)
	}()
	for range 4 {
		before := l.count()
		natstest.Await(t, "progress", func() bool { return l.count() > before+600 })
		srv.Kill()
		srv.Start(t)
	}
	before := l.count()
	natstest.Await(t, "progress", func() bool { return l.count() > before+300 })
	stop()
	<-done
	l.verify(t, m)
	if batched, all := grouped(t, nc, "$KV.e2e.event.load.>"); batched == 0 {
		t.Errorf("none of %d writes was made in a group", all)
	} else {
		t.Logf("%d of %d were made in groups", batched, all)
	}
}
