package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
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

// TestAHistoryOfAnOlderVersionIsReadAndGoneOnWith has records be there as they were written
// when each was a message of its own.
func TestAHistoryOfAnOlderVersionIsReadAndGoneOnWith(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	log := openJournal(t, ns, "older")
	if _, err := log.Last(t.Context()); err != nil { // makes the stream
		t.Fatal(err)
	}
	js, err := jetstream.New(ns.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	older := func(key, kind string, revision int, value string, more ...string) {
		m := &nats.Msg{Subject: "$KV.older_history." + key, Data: []byte(value), Header: nats.Header{
			"Roost-History": {kind}, "Roost-Epoch": {"7"}, "Roost-Generation": {"g"}, "Roost-Revision": {fmt.Sprint(revision)},
			"Roost-Time": {at.Format(time.RFC3339Nano)},
		}}
		for i := 0; i < len(more); i += 2 {
			m.Header[more[i]] = []string{more[i+1]}
		}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	older("_mark", "begin", 1, "", "Roost-From", "0", "Roost-To", "0")
	older("event.a.b.c", "change", 2, `{"n":2}`, "Roost-Operation", "o2", "Roost-Event", "registered", "Roost-Reason", "because")
	older("event.a.x.c", "change", 3, `{"n":3}`, "Roost-Operation", "o3", "Roost-Event", "unregistered", "Roost-Removed", "1")
	older("_mark", "gap", 3, "", "Roost-From", "3", "Roost-To", "5")
	of := func(kind journal.Kind, key string, revision uint64, value, operation, event, reason string) journal.Record {
		r := journal.Record{Kind: kind, Epoch: 7, Generation: "g", Entry: kvstore.Entry{
			Key: key, Revision: revision, Time: at, Labels: kvstore.Labels{Operation: operation, Event: event, Reason: reason},
		}}
		if value != "" {
			r.Value = []byte(value)
		}
		return r
	}
	want := []journal.Record{
		of(journal.Begin, "", 1, "", "", "", ""), of(journal.Change, "event.a.b.c", 2, `{"n":2}`, "o2", "registered", "because"),
		of(journal.Change, "event.a.x.c", 3, `{"n":3}`, "o3", "unregistered", ""), of(journal.Gap, "", 3, "", "", "", ""),
		of(journal.Change, "event.a.b.d", 6, `{"n":6}`, "o6", "registered", ""), of(journal.Change, "event.a.x.d", 7, `{"n":7}`, "o7", "registered", ""),
	}
	want[2].Removed, want[3].From, want[3].To = true, 3, 5
	last, err := log.Last(t.Context())
	if err != nil || last.Revision != 3 || last.Epoch != 7 || last.Generation != "g" || !last.Time.Equal(at) {
		t.Fatalf("Last = %+v, %v; want what the gap says", last, err)
	}
	if _, err := log.Append(t.Context(), last, want[4:]); err != nil {
		t.Fatal(err)
	}
	compare := func(r journal.Range, want ...journal.Record) {
		t.Helper()
		var got []journal.Record
		for {
			page, err := log.Read(t.Context(), r)
			if err != nil || page.First == nil || page.First.Kind != journal.Begin {
				t.Fatalf("Read = %+v, %v; want a page of a history with a beginning", page, err)
			}
			got = append(got, page.Records...)
			if r.After = page.Next; r.After == 0 {
				break
			}
		}
		without := cmpopts.IgnoreFields(journal.Record{}, "Sequence")
		if diff := cmp.Diff(want, got, without, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", r, diff)
		}
	}
	for _, limit := range []int{1, 2, 3, 10} {
		compare(journal.Range{Limit: limit}, want...)
		compare(journal.Range{Pattern: "event.a.b.*", Limit: limit}, want[0], want[1], want[3], want[4])
	}
}

func read(t *testing.T, log journal.Log) journal.Page {
	t.Helper()
	page, err := log.Read(t.Context(), journal.Range{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page
}
