package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
	"github.com/roostbus/roost/kvstore/journal/journaltest"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryIsALog(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(*testing.T) journal.Log { return journal.NewMemory(time.Hour, 1<<20) })
}

// epochs tells the epoch that a test says.
type epochs struct{ atomic.Uint32 }

func (e *epochs) Current() (uint32, bool) { return e.Load(), e.Load() != 0 }

// faulty is a Log that cannot be written for a while.
type faulty struct {
	journal.Log
	down atomic.Bool
}

func (f *faulty) Append(ctx context.Context, at journal.Place, records []journal.Record) (journal.Place, error) {
	if f.down.Load() {
		return journal.Place{}, kvstore.ErrUnavailable
	}
	return f.Log.Append(ctx, at, records)
}

type node struct {
	*journal.Recorder
	epochs *epochs
	stop   func()
}

// follow starts a node that records what store shows.
func follow(t *testing.T, store *memkv.Store, log journal.Log, opts ...journal.Option) *node {
	t.Helper()
	n := &node{epochs: &epochs{}}
	n.epochs.Store(1)
	n.Recorder = journal.NewRecorder(log, n.epochs, append([]journal.Option{journal.WithPrefixes("event.")}, opts...)...)
	tail := kvstore.NewTail(store, kvstore.WithProbe(0))
	tail.Subscribe("", n.Recorder)
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = tail.Run(ctx) })
	tasks.Go(func() { _ = n.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		tasks.Wait()
	})
	t.Cleanup(n.stop)
	return n
}

// put writes the next state of a key.
func put(t *testing.T, store *memkv.Store, key string) {
	t.Helper()
	var expect uint64
	e, err := store.Get(t.Context(), key)
	if err == nil {
		expect = e.Revision
	} else if !errors.Is(err, kvstore.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), kvstore.Write{Key: key, Value: []byte("x"), Expect: expect}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // a feed shows what is newest
}

// told sums up what a log holds, without what is only alive.
func told(t *testing.T, log journal.Log) string {
	t.Helper()
	page, err := log.Read(t.Context(), journal.Range{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, r := range page.Records {
		switch r.Kind {
		case journal.Change:
			text += fmt.Sprintf(" %s@%d", r.Key[len("event."):], r.Revision)
		case journal.Gap:
			text += fmt.Sprintf(" gap(%d,%d]", r.From, r.To)
		default:
			text += " " + string(r.Kind)
		}
	}
	return text
}

func settle() { time.Sleep(20 * time.Second); synctest.Wait() }

func TestEveryChangeIsRecordedOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), journal.NewMemory(time.Hour, 1<<20)
		n := follow(t, store, log)
		settle()
		put(t, store, "event.a")
		put(t, store, "other.b")
		put(t, store, "event.a")
		settle()
		if got := told(t, log); got != " begin a@1 a@3" {
			t.Errorf("recorded%s; want a at 1 and at 3", got)
		}
		if _, upTo := n.Recorded(); upTo != 3 {
			t.Errorf("recorded up to %d; want 3", upTo)
		}
		n.stop()
	})
}

func TestTwoNodesRecordEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), journal.NewMemory(time.Hour, 1<<20)
		one := follow(t, store, log)
		two := follow(t, store, log, journal.WithFirst(func() bool { return false }))
		three := follow(t, store, log) // goes first too, as after a change of keeper
		settle()
		want := " begin"
		for i := range 50 {
			put(t, store, "event.a")
			want += fmt.Sprintf(" a@%d", i+1)
			time.Sleep(30 * time.Millisecond)
		}
		settle()
		if got := told(t, log); got != want {
			t.Errorf("recorded%s; want%s", got, want)
		}
		for _, n := range []*node{one, two, three} {
			if _, upTo := n.Recorded(); upTo != 50 {
				t.Errorf("a node knows of %d recorded; want 50", upTo)
			}
			n.stop()
		}
	})
}

// counted is a Log that counts how often somebody tries to write it.
type counted struct {
	journal.Log
	appends atomic.Int64
}

func (c *counted) Append(ctx context.Context, at journal.Place, records []journal.Record) (journal.Place, error) {
	c.appends.Add(1)
	return c.Log.Append(ctx, at, records)
}

func TestANodeThatDoesNotGoFirstNeitherWritesNorHoldsMuchWhileTheFirstOneDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), journal.NewMemory(time.Hour, 1<<20)
		mine := &counted{Log: log}
		one, two := follow(t, store, log), follow(t, store, mine, journal.WithFirst(func() bool { return false }))
		settle()
		before, most := mine.appends.Load(), 0
		for range 2000 {
			put(t, store, "event.a")
			time.Sleep(10 * time.Millisecond)
			most = max(most, two.Status().Held)
		}
		if n := mine.appends.Load() - before; n > 0 {
			t.Errorf("it tried to write %d times beside the one that goes first", n)
		}
		if most > 150 {
			t.Errorf("it held up to %d changes; want those of a second", most)
		}
		one.stop()
		two.stop()
	})
}

func TestAnotherNodeGoesOnWhereTheFirstHasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), journal.NewMemory(time.Hour, 1<<20)
		one := follow(t, store, log)
		two := follow(t, store, log, journal.WithFirst(func() bool { return false }))
		settle()
		put(t, store, "event.a")
		settle()
		one.stop()
		put(t, store, "event.a")
		put(t, store, "event.a")
		settle()
		if got := told(t, log); got != " begin a@1 a@2 a@3" {
			t.Errorf("recorded%s; want every change", got)
		}
		two.stop()
	})
}

func TestWhatWasSupersededWhileNobodyFollowedIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), journal.NewMemory(time.Hour, 1<<20)
		one := follow(t, store, log)
		settle()
		put(t, store, "event.a")
		settle()
		one.stop()
		for range 3 {
			put(t, store, "event.a")
		}
		put(t, store, "event.b")
		two := follow(t, store, log)
		settle()
		put(t, store, "event.b")
		settle()
		if got := told(t, log); got != " begin a@1 gap(1,5] a@4 b@5 b@6" {
			t.Errorf("recorded%s; want a gap up to 5, and the newest states", got)
		}
		two.stop()
	})
}

func TestAQuietRestartIsNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), journal.NewMemory(time.Hour, 1<<20)
		one := follow(t, store, log)
		settle()
		put(t, store, "event.a")
		settle()
		one.stop()
		put(t, store, "other.x")
		two := follow(t, store, log)
		settle()
		if got := told(t, log); got != " begin a@1" {
			t.Errorf("recorded%s; want no gap, since nothing had changed", got)
		}
		two.stop()
	})
}

func TestAStoreMadeAnewIsSaidSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), journal.NewMemory(time.Hour, 1<<20)
		n := follow(t, store, log)
		settle()
		put(t, store, "event.a")
		put(t, store, "event.a")
		settle()
		store.Reset()
		n.epochs.Add(1)
		put(t, store, "event.b")
		settle()
		if got := told(t, log); got != " begin a@1 a@2 anew b@1" && got != " begin a@1 a@2 anew gap(0,1] b@1" {
			t.Errorf("recorded%s; want b at 1 of a store made anew", got)
		}
		n.stop()
	})
}

func TestWhatThereIsNoRoomForIsCountedAndAGapAndKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memkv.New(), &faulty{Log: journal.NewMemory(time.Hour, 1<<20)}
		n := follow(t, store, log, journal.WithRoom(10, 1<<20))
		settle()
		log.down.Store(true)
		began := time.Now()
		for range 25 {
			put(t, store, "event.a")
		}
		synctest.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the feed took %v", took)
		}
		settle()
		if s := n.Status(); s.Dropped != 15 || s.Held != 10 || s.Failing == nil {
			t.Errorf("status %+v; want 15 dropped, 10 held, and why", s)
		}
		log.down.Store(false)
		settle()
		want := " begin gap(0,15]"
		for i := 16; i <= 25; i++ {
			want += fmt.Sprintf(" a@%d", i)
		}
		if got := told(t, log); got != want {
			t.Errorf("recorded%s; want%s", got, want)
		}
		if s := n.Status(); s.Failing != nil || s.Held != 0 {
			t.Errorf("status %+v; want it well again", s)
		}
		n.stop()
	})
}

func TestAMemoryForgetsWhatIsTooOldOrTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := journal.NewMemory(time.Minute, 2000)
		var at journal.Place
		add := func(n int) {
			for range n {
				r := journal.Record{Kind: journal.Change, Generation: "g", Entry: kvstore.Entry{Key: "event.a", Revision: at.Revision + 1, Time: time.Now()}}
				var err error
				if at, err = log.Append(t.Context(), at, []journal.Record{r}); err != nil {
					t.Fatal(err)
				}
			}
		}
		add(100)
		page, err := log.Read(t.Context(), journal.Range{Limit: 1000})
		if err != nil || len(page.Records) > 10 || page.First == nil || page.First.Revision < 90 {
			t.Errorf("%d records, first %+v, %v; want at most 10", len(page.Records), page.First, err)
		}
		time.Sleep(2 * time.Minute)
		if page, err := log.Read(t.Context(), journal.Range{Limit: 1000}); err != nil || len(page.Records) != 0 {
			t.Errorf("%d records, %v; want them forgotten", len(page.Records), err)
		}
		add(1)
	})
}

func TestAnotherLogBeginsWithWhatIsToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := [2]*journal.Memory{journal.NewMemory(time.Hour, 1<<20), journal.NewMemory(time.Hour, 1<<20)}
		var which atomic.Int64
		store := memkv.New()
		n := follow(t, store, journal.Whichever(func() journal.Log { return logs[which.Load()] }))
		settle()
		put(t, store, "event.a")
		settle()
		which.Store(1)
		put(t, store, "event.b")
		settle()
		put(t, store, "event.c")
		settle()
		if one, other := told(t, logs[0]), told(t, logs[1]); one != " begin a@1" || other != " begin c@3" {
			t.Errorf("recorded%s, then%s; want a in the one, and in the other what came after its beginning", one, other)
		}
		n.stop()
	})
}
