package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/backup"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// keptNode is a node on a bucket that answers everything that backups need, and an
// operator's client.
type keptNode struct {
	*wireWorld
	*client.Client
	store    *natskv.Store
	counters *natskv.Counters
	table    *lease.Table
	engine   *engine.Engine
	guard    *epoch.Guard
}

func startKept(t *testing.T, ns *natstest.Server) *keptNode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config := natskv.DefaultConfig()
	s := subjects(t)
	config.Bucket, config.Prefix, config.Node, config.Check = s.Bucket(), s.Prefix(), "one", 200*time.Millisecond
	n := &keptNode{}
	var err error
	if n.store, err = natskv.Open(ctx, inProcess(t, ns), config); err != nil {
		t.Fatal(err)
	}
	if n.counters, err = n.store.Counters(ctx); err != nil {
		t.Fatal(err)
	}
	if n.guard, err = epoch.NewGuard(n.store, epoch.Forgetful()); err != nil {
		t.Fatal(err)
	}
	tail := kvstore.NewTail(n.store)
	tail.Subscribe(epoch.Key, n.guard)
	n.table = lease.NewTable(tail, slog.New(slog.DiscardHandler))
	b := hybrid.New(n.store, tail, n.guard, n.table)
	if n.engine, err = engine.New(n.store, tail, n.table, n.guard, theKeeper{}, "one"); err != nil {
		t.Fatal(err)
	}
	running, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	for _, run := range []func(context.Context) error{tail.Run, n.guard.Run, n.engine.Run} {
		tasks.Go(func() { _ = run(running) })
	}
	t.Cleanup(func() {
		_ = b.Close()
		end()
		tasks.Wait()
		_ = n.store.Close()
	})
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	n.wireWorld = serveWireOn(t, ns, b, nil, server.WithCoordination(server.CoordinationOf(n.engine, n.counters)),
		server.WithBackups(server.BackupsOf(n.engine, n.guard.Raise)))
	if n.Client, err = client.New(inProcess(t, ns), client.WithReadTimeout(20*time.Second), client.WithWriteTimeout(20*time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Client.Close() })
	return n
}

// grant writes a lease that lives as a keeper does.
func (n *keptNode) grant(t *testing.T, owner string) {
	t.Helper()
	r, err := lease.NewRecord("", lease.DefaultTTL, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.store.Write(t.Context(), kvstore.Write{Key: lease.Key(owner), Value: value}); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the lease to be seen", func() bool { return n.table.Lives(owner) })
}

func withNumber(t *testing.T, key backend.Key, n int) backend.Registration {
	t.Helper()
	metadata, err := backend.ParseMetadata(fmt.Appendf(nil, `{"n":%d}`, n))
	if err != nil {
		t.Error(err)
	}
	return backend.Registration{Key: key, Metadata: metadata, Weight: 100}
}

// TestAnExportUnderLoadIsOneRevisionOfTheBucket has pairs changed together, of which one
// stands at the beginning of the order of keys and one at its end.
func TestAnExportUnderLoadIsOneRevisionOfTheBucket(t *testing.T) {
	t.Parallel()
	n := startKept(t, natstest.Start(t))
	const pairs = 100
	key := func(service string, i int) backend.Key {
		return backend.Key{Namespace: "default", Service: service, Instance: fmt.Sprint(i)}
	}
	move := func(ctx context.Context, i, to int) error {
		_, _, err := n.Batch(ctx, []backend.Operation{
			{Kind: backend.OpRegister, Registration: withNumber(t, key("a", i), to)},
			{Kind: backend.OpRegister, Registration: withNumber(t, key("z", i), to)},
		}, true)
		return err
	}
	var first []backend.Operation
	for i := range pairs {
		for _, service := range []string{"a", "z"} {
			first = append(first, backend.Operation{Kind: backend.OpRegister, Registration: withNumber(t, key(service, i), 0)})
		}
	}
	for i := range 800 { // what makes the list many pages
		r := withNumber(t, key("m", i), i)
		r.Endpoints = backend.EndpointsOf(map[string]string{"http": "http://" + string(bytes.Repeat([]byte("x"), 2000))})
		first = append(first, backend.Operation{Kind: backend.OpRegister, Registration: r})
	}
	for batch := range slices.Chunk(first, 500) {
		if _, _, err := n.Batch(t.Context(), batch, false); err != nil {
			t.Fatal(err)
		}
	}
	loaded, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	moved := make([]int, 4)
	for w := range moved {
		load.Go(func() {
			for ; loaded.Err() == nil; moved[w]++ {
				if err := move(context.WithoutCancel(loaded), (w+moved[w]*4)%pairs, moved[w]+1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		var out bytes.Buffer
		h, err := backup.Export(t.Context(), n, n, &out, backup.Options{Dir: t.TempDir()})
		if err != nil {
			t.Error(err)
			break
		}
		found, half := map[string]string{}, map[string]bool{}
		for line := range bytes.Lines(out.Bytes()) {
			var l struct {
				Registration *backend.Registration `json:"registration"`
			}
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			if r := l.Registration; r != nil {
				found[r.Service+r.Instance] = r.Metadata.String()
				half[r.Service+r.Instance] = r.Revision == h.Revision // the batch's other half has the next one
				if r.Revision > h.Revision {
					t.Errorf("%s is of revision %d, after %d", r.Key, r.Revision, h.Revision)
				}
			}
		}
		for i := range pairs {
			if a, z := found[fmt.Sprint("a", i)], found[fmt.Sprint("z", i)]; a == "" || a != z && !half[fmt.Sprint("a", i)] {
				t.Errorf("pair %d is %q and %q at revision %d", i, a, z, h.Revision)
			}
		}
	}
	stop()
	load.Wait()
	if total := moved[0] + moved[1] + moved[2] + moved[3]; total < 20 {
		t.Errorf("only %d changes were made meanwhile", total)
	}
}

func TestABackupBroughtBackIntoABucketMadeAnewNeverGivesAnOldToken(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	n := startKept(t, ns)
	ctx := t.Context()
	if _, _, err := n.Register(ctx, withNumber(t, backend.Key{Namespace: "default", Service: "payments", Instance: "1"}, 1), backend.Write{}); err != nil {
		t.Fatal(err)
	}
	name := engine.Name{Namespace: "default", Name: "job"}
	lead := func(owner string) coordination.Election {
		t.Helper()
		n.grant(t, owner)
		by := backend.Write{Owner: owner}
		if _, _, err := n.engine.Elections.Campaign(ctx, name, coordination.Candidate{Owner: owner}, 0, by); err != nil {
			t.Fatal(err)
		}
		e, _, err := n.engine.Elections.Get(ctx, name, backend.Read{Consistency: backend.Linearizable})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.engine.Elections.Resign(ctx, name, owner, by); err != nil {
			t.Fatal(err)
		}
		return e.Record
	}
	if _, err := n.Counter("default", "invoices").Add(ctx, 41); err != nil {
		t.Fatal(err)
	}
	lead("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	var out bytes.Buffer
	h, err := backup.Export(ctx, n, n, &out, backup.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	after := lead("bbbbbbbbbbbbbbbbbbbbbbbbbb") // between the backup and the loss

	js, err := jetstream.New(ns.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"KV_" + subjects(t).Bucket(), natskv.CountersOf(subjects(t).Bucket())} {
		if err := js.DeleteStream(ctx, stream); err != nil {
			t.Fatal(err)
		}
	}
	natstest.Await(t, "the bucket to be made anew", func() bool {
		count, stamp, err := n.Count(ctx, client.Query{})
		return err == nil && count == 0 && stamp.Epoch > h.Epoch
	})
	if _, err := n.store.Counters(ctx); err != nil {
		t.Fatal(err)
	}
	file, err := backup.Open(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	i := backup.Import{Registry: n, Office: n, File: file}
	for round := range 2 {
		p, err := i.Plan(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if round == 1 && !p.Nothing() {
			t.Errorf("after the import there is still something to do: %+v", p)
		}
		if _, err := i.Run(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	if count, stamp, err := n.Count(ctx, client.Query{}); err != nil || count != 1 || stamp.Epoch <= h.Epoch {
		t.Errorf("%d registrations in epoch %d, %v; want 1 in one above %d", count, stamp.Epoch, err, h.Epoch)
	}
	if value, _, err := n.Counter("default", "invoices").Get(ctx, client.Read{}); err != nil || value.Int64() != 41 {
		t.Errorf("the counter is at %v, %v; want 41", value, err)
	}
	next := lead("cccccccccccccccccccccccccc")
	if next.Term <= 1 || next.Token.Compare(after.Token) <= 0 {
		t.Errorf("the next leader has term %d and token %v; want a later term than 1 and a token above %v", next.Term, next.Token, after.Token)
	}
}

// TestAnEpochIsRaisedOverTheBusAndFollowersNotice has one who follows learn of it.
func TestAnEpochIsRaisedOverTheBusAndFollowersNotice(t *testing.T) {
	t.Parallel()
	n := startKept(t, natstest.Start(t))
	_, before, err := n.List(t.Context(), client.Query{})
	if err != nil {
		t.Fatal(err)
	}
	follower, err := client.New(inProcess(t, n.ns))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := follower.List(t.Context(), client.Query{}); err != nil {
		t.Fatal(err)
	}
	above := before.Epoch + 1000
	got, err := n.RaiseEpoch(t.Context(), above)
	if err != nil || got <= above {
		t.Fatalf("RaiseEpoch = %d, %v; want more than %d", got, err, above)
	}
	since := before.Revision
	q := client.Query{Since: &since, Read: client.Read{Epoch: before.Epoch}}
	if _, _, err := follower.List(t.Context(), q); !errors.Is(err, backend.ErrCompacted) {
		t.Errorf("a list since a revision of before = %v; want compacted", err)
	}
	if _, now, err := follower.List(t.Context(), client.Query{}); err != nil || now.Epoch != got {
		t.Errorf("a list is of epoch %d, %v; want %d", now.Epoch, err, got)
	}
	if again, err := n.RaiseEpoch(t.Context(), above); err != nil || again != got {
		t.Errorf("once more: %d, %v; want %d", again, err, got)
	}
}
