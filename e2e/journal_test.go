package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/journal"
	"github.com/roostbus/roost/kvstore/journal/journaltest"
	"github.com/roostbus/roost/kvstore/natskv"
)

// openJournal opens a journal beside a bucket of its own.
func openJournal(t *testing.T, ns *natstest.Server, bucket string) *natskv.Journal {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix = bucket, bucket
	store, err := natskv.Open(ctx, ns.Connect(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store.Journal(time.Hour, 1<<20)
}

func TestAStreamIsALog(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	n := 0
	journaltest.Run(t, func(t *testing.T) journal.Log {
		n++
		return openJournal(t, ns, fmt.Sprint("journal", n))
	})
}

// follower is a node that records what a bucket's feed shows.
type follower struct {
	*journal.Recorder
	stop func()
}

func record(t *testing.T, ns *natstest.Server, bucket string, first bool) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix, config.Check = bucket, bucket, 200*time.Millisecond
	store, err := natskv.Open(ctx, ns.Connect(t), config)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := epoch.NewGuard(store, epoch.Forgetful())
	if err != nil {
		t.Fatal(err)
	}
	tail := kvstore.NewTail(store)
	tail.Subscribe(epoch.Key, guard)
	f := &follower{Recorder: journal.NewRecorder(store.Journal(time.Hour, 16<<20), guard,
		journal.WithPrefixes("event."), journal.WithFirst(func() bool { return first }))}
	tail.Subscribe("", f.Recorder)
	running, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	for _, run := range []func(context.Context) error{tail.Run, guard.Run, f.Run} {
		tasks.Go(func() { _ = run(running) })
	}
	f.stop = sync.OnceFunc(func() {
		end()
		tasks.Wait()
		_ = store.Close()
	})
	t.Cleanup(f.stop)
	natstest.Await(t, "the history to have begun", func() bool { _, upTo := f.Recorded(); return upTo > 0 })
	return f
}

// TestTwoNodesOnABucketRecordEachChangeOnce has the one that goes first be stopped in the
// middle, and the bucket be made anew at the end.
func TestTwoNodesOnABucketRecordEachChangeOnce(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	const bucket = "recorded"
	one, two := record(t, ns, bucket, true), record(t, ns, bucket, false)
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix = bucket, bucket
	store, err := natskv.Open(t.Context(), ns.Connect(t), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	var made []uint64
	put := func(n int) {
		revision, err := store.Write(t.Context(), kvstore.Write{Key: fmt.Sprintf("event.a.b.%d", n), Value: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, revision)
	}
	for n := range 50 {
		put(n)
	}
	one.stop()
	for n := range 50 {
		put(50 + n)
	}
	caught := func() {
		t.Helper()
		natstest.Await(t, "everything to be recorded", func() bool { _, upTo := two.Recorded(); return upTo >= made[len(made)-1] })
	}
	caught()
	page := read(t, store.Journal(time.Hour, 16<<20))
	var got []uint64
	for _, r := range page.Records {
		if r.Kind == journal.Change {
			got = append(got, r.Revision)
		} else if r.Kind != journal.Begin {
			t.Errorf("there is a %s, and nothing was missed", r.Kind)
		}
	}
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("recorded (-made +recorded):\n%s", diff)
	}
	js, err := jetstream.New(ns.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "KV_"+bucket); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the bucket made anew to be recorded", func() bool {
		records := read(t, store.Journal(time.Hour, 16<<20)).Records
		return records[len(records)-1].Kind == journal.Anew
	})
}

func read(t *testing.T, log journal.Log) journal.Page {
	t.Helper()
	page, err := log.Read(t.Context(), journal.Range{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page
}
