package kvstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/kvstore"
)

func write(t *testing.T, s kvstore.Store, w kvstore.Write) uint64 {
	t.Helper()
	revision, err := s.Write(t.Context(), w)
	if err != nil {
		t.Fatalf("Write(%s at %d) = %v", w.Key, w.Expect, err)
	}
	if revision <= w.Expect {
		t.Fatalf("Write(%s at %d) = %d, want a greater revision", w.Key, w.Expect, revision)
	}
	return revision
}

func get(t *testing.T, s kvstore.Store, key string) kvstore.Entry {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%s) = %v", key, err)
	}
	return e
}

func wantErr(t *testing.T, call string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", call, err, want)
	}
}

// wantConflict checks that err is a conflict that shows key at revision.
func wantConflict(t *testing.T, err error, key string, revision uint64) {
	t.Helper()
	c, ok := errors.AsType[*kvstore.ConflictError](err)
	if !ok || !errors.Is(err, kvstore.ErrConflict) || errors.Is(err, kvstore.ErrUnknownOutcome) {
		t.Fatalf("got %v, want a ConflictError", err)
	}
	if c.Key != key || !c.Known || c.Current.Revision != revision {
		t.Errorf("got a conflict of %q at %d (known: %t), want %q at %d", c.Key, c.Current.Revision, c.Known, key, revision)
	}
}

func getAbsent(t *testing.T, s kvstore.Store) {
	_, err := s.Get(t.Context(), "event.a.b.c")
	wantErr(t, "Get", err, kvstore.ErrNotFound)
}

func getReturnsTheWrite(t *testing.T, s kvstore.Store) {
	for _, value := range [][]byte{nil, []byte("x"), {0, 1, 255}, bytes.Repeat([]byte("long"), 10_000)} {
		w := kvstore.Write{
			Key: fmt.Sprintf("event.a.b=20c.%d", len(value)), Value: value,
			Labels: kvstore.Labels{Operation: "op-1", Event: "registered", Reason: "because: ünïcode; = yes"},
		}
		revision := write(t, s, w)
		e := get(t, s, w.Key)
		if e.Key != w.Key || !bytes.Equal(e.Value, value) || e.Revision != revision || e.Removed || e.Labels != w.Labels {
			t.Errorf("Get(%s) = %+v, want what was written: %+v", w.Key, e, w)
		}
		if e.Time.IsZero() {
			t.Errorf("Get(%s) has no time", w.Key)
		}
	}
}

func oneSequence(t *testing.T, s kvstore.Store) {
	var last uint64
	for i := range 10 {
		revision := write(t, s, kvstore.Write{Key: fmt.Sprintf("a.%d", i)})
		if revision <= last {
			t.Errorf("write %d made revision %d after %d", i, revision, last)
		}
		last = revision
	}
}

func conflictShowsCurrent(t *testing.T, s kvstore.Store) {
	_, err := s.Write(t.Context(), kvstore.Write{Key: "a", Expect: 7})
	wantConflict(t, err, "a", 0)
	first := write(t, s, kvstore.Write{Key: "a", Value: []byte("1")})
	_, err = s.Write(t.Context(), kvstore.Write{Key: "a"})
	wantConflict(t, err, "a", first)
	second := write(t, s, kvstore.Write{Key: "a", Expect: first})
	_, err = s.Write(t.Context(), kvstore.Write{Key: "a", Expect: first})
	wantConflict(t, err, "a", second)
	if e := get(t, s, "a"); e.Revision != second {
		t.Errorf("a is at %d, want %d: a conflict must change nothing", e.Revision, second)
	}
}

func markersCount(t *testing.T, s kvstore.Store) {
	first := write(t, s, kvstore.Write{Key: "a", Value: []byte("1")})
	removal := kvstore.Write{
		Key: "a", Value: []byte("was 1"), Expect: first, Remove: true, Keep: time.Hour,
		Labels: kvstore.Labels{Operation: "op", Event: "unregistered", Reason: "asked"},
	}
	marker := write(t, s, removal)
	e := get(t, s, "a")
	if !e.Removed || e.Revision != marker || string(e.Value) != "was 1" || e.Labels != removal.Labels {
		t.Errorf("Get = %+v, want the marker", e)
	}
	_, err := s.Write(t.Context(), kvstore.Write{Key: "a"})
	wantConflict(t, err, "a", marker)
	again := write(t, s, kvstore.Write{Key: "a", Expect: marker})
	if e := get(t, s, "a"); e.Removed || e.Revision != again {
		t.Errorf("Get = %+v, want the new entry at %d", e, again)
	}
}

func markerExpiry(t *testing.T, s kvstore.Store) {
	marker := write(t, s, kvstore.Write{Key: "a", Remove: true, Keep: time.Second})
	kept := write(t, s, kvstore.Write{Key: "b", Remove: true})
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := s.Get(t.Context(), "a")
		if errors.Is(err, kvstore.ErrNotFound) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the marker is still there: Get = %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if again := write(t, s, kvstore.Write{Key: "a"}); again <= marker {
		t.Errorf("a new entry is at %d, not above the marker's %d", again, marker)
	}
	if e := get(t, s, "b"); !e.Removed || e.Revision != kept {
		t.Errorf("Get(b) = %+v, want the marker that is kept for ever", e)
	}
}

func oneWinner(t *testing.T, s kvstore.Store) {
	for expect, round := uint64(0), 0; round < 5; round++ {
		errs := make([]error, 50)
		revisions := make([]uint64, 50)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				revisions[i], errs[i] = s.Write(t.Context(), kvstore.Write{
					Key: "contended", Value: fmt.Append(nil, i), Expect: expect, Labels: kvstore.Labels{Operation: fmt.Sprint(round, "-", i)},
				})
			})
		}
		all.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("writes %d and %d at revision %d both happened", winner, i, expect)
			case err == nil:
				winner = i
			case !errors.Is(err, kvstore.ErrConflict):
				t.Errorf("write %d = %v, want ErrConflict", i, err)
			}
		}
		if winner < 0 {
			t.Fatalf("no write at revision %d happened", expect)
		}
		e := get(t, s, "contended")
		if string(e.Value) != fmt.Sprint(winner) || e.Revision != revisions[winner] {
			t.Fatalf("Get = %+v, want what write %d wrote at %d", e, winner, revisions[winner])
		}
		expect = e.Revision
	}
}

func repeat(t *testing.T, s kvstore.Store) {
	w := kvstore.Write{Key: "a", Value: []byte("1"), Labels: kvstore.Labels{Operation: "op"}}
	first := write(t, s, w)
	again, err := s.Write(t.Context(), w)
	if err != nil || again != first {
		t.Errorf("the repeat = %d, %v, want %d", again, err, first)
	}
	if e := get(t, s, "a"); e.Revision != first {
		t.Errorf("a is at %d, want %d: a repeat writes nothing", e.Revision, first)
	}
}

func overwrittenRepeat(t *testing.T, s kvstore.Store) {
	w := kvstore.Write{Key: "a", Labels: kvstore.Labels{Operation: "op"}}
	second := write(t, s, kvstore.Write{Key: "a", Expect: write(t, s, w), Labels: kvstore.Labels{Operation: "other"}})
	_, err := s.Write(t.Context(), w)
	wantConflict(t, err, "a", second)
}

func sameOperation(t *testing.T, s kvstore.Store) {
	w := kvstore.Write{Key: "a", Value: []byte("1"), Labels: kvstore.Labels{Operation: "op"}}
	first := write(t, s, w)
	for _, other := range []kvstore.Write{
		{Key: "a", Value: []byte("2"), Labels: w.Labels},
		{Key: "a", Value: []byte("1"), Remove: true, Labels: w.Labels},
	} {
		_, err := s.Write(t.Context(), other)
		wantConflict(t, err, "a", first)
	}
}

func callersBytes(t *testing.T, s kvstore.Store) {
	value := []byte("mine")
	write(t, s, kvstore.Write{Key: "a", Value: value})
	copy(value, "gone")
	if got := string(get(t, s, "a").Value); got != "mine" {
		t.Errorf("Get = %q after the caller changed its slice, want %q", got, "mine")
	}
}

func malformed(t *testing.T, s kvstore.Store) {
	for _, w := range []kvstore.Write{
		{Key: ""},
		{Key: "a..b"},
		{Key: ".a"},
		{Key: "a."},
		{Key: "a.*"},
		{Key: "a.>"},
		{Key: "a b"},
		{Key: "ä"},
		{Key: "a", Keep: time.Second},
		{Key: "a", Remove: true, Keep: time.Millisecond},
		{Key: "a", Remove: true, Keep: -time.Hour},
		{Key: "a", Labels: kvstore.Labels{Reason: "two\r\nlines"}},
	} {
		_, err := s.Write(t.Context(), w)
		wantErr(t, fmt.Sprintf("Write(%+v)", w), err, kvstore.ErrInvalid)
	}
}

func tooLarge(t *testing.T, s kvstore.Store) {
	huge := []byte(strings.Repeat("x", 1<<20+1))
	_, err := s.Write(t.Context(), kvstore.Write{Key: "a", Value: huge})
	wantErr(t, "Write of a mebibyte and one", err, kvstore.ErrTooLarge)
	_, err = s.Batch(t.Context(), []kvstore.Write{{Key: "b"}, {Key: "a", Value: huge}})
	wantErr(t, "Batch with a mebibyte and one", err, kvstore.ErrTooLarge)
	_, err = s.Get(t.Context(), "b")
	wantErr(t, "Get(b)", err, kvstore.ErrNotFound)
}

func cancelled(t *testing.T, s kvstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, "a")
	wantErr(t, "Get", err, kvstore.ErrUnavailable)
	_, err = s.Write(ctx, kvstore.Write{Key: "a"})
	wantErr(t, "Write", err, kvstore.ErrUnavailable)
	_, err = s.Batch(ctx, []kvstore.Write{{Key: "a"}, {Key: "b"}})
	wantErr(t, "Batch", err, kvstore.ErrUnavailable)
	_, err = s.Barrier(ctx)
	wantErr(t, "Barrier", err, kvstore.ErrUnavailable)
	_, err = s.Info(ctx)
	wantErr(t, "Info", err, kvstore.ErrUnavailable)
	_, err = s.Get(t.Context(), "a")
	wantErr(t, "Get afterwards", err, kvstore.ErrNotFound)
}

func closed(t *testing.T, s kvstore.Store) {
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close() = %v", err)
		}
	}
	_, err := s.Get(t.Context(), "a")
	wantErr(t, "Get", err, kvstore.ErrClosed)
	_, err = s.Write(t.Context(), kvstore.Write{Key: "a"})
	wantErr(t, "Write", err, kvstore.ErrClosed)
	_, err = s.Batch(t.Context(), []kvstore.Write{{Key: "a"}, {Key: "b"}})
	wantErr(t, "Batch", err, kvstore.ErrClosed)
	_, err = s.Barrier(t.Context())
	wantErr(t, "Barrier", err, kvstore.ErrClosed)
	_, err = s.Info(t.Context())
	wantErr(t, "Info", err, kvstore.ErrClosed)
}

func barrierIsNewer(t *testing.T, s kvstore.Store) {
	var last uint64
	for i := range 3 {
		last = max(last, write(t, s, kvstore.Write{Key: fmt.Sprint("a.", i)}))
		barrier, err := s.Barrier(t.Context())
		if err != nil || barrier <= last {
			t.Fatalf("Barrier() = %d, %v, want above %d", barrier, err, last)
		}
		last = barrier
	}
}

func info(t *testing.T, s kvstore.Store) {
	before, err := s.Info(t.Context())
	if err != nil || before.Last != 0 || before.Keys != 0 || before.Generation == "" {
		t.Errorf("Info() = %+v, %v of an empty store", before, err)
	}
	first := write(t, s, kvstore.Write{Key: "a"})
	write(t, s, kvstore.Write{Key: "a", Expect: first})
	last := write(t, s, kvstore.Write{Key: "b", Remove: true})
	after, err := s.Info(t.Context())
	if want := (kvstore.Info{Generation: before.Generation, Last: last, Keys: 2}); err != nil || after != want {
		t.Errorf("Info() = %+v, %v, want %+v", after, err, want)
	}
}

func cell(t *testing.T, s kvstore.Store) {
	type record struct {
		Term   int      `json:"term"`
		Queued []string `json:"queued"`
	}
	c := kvstore.CellAt[record](s, "announce.lock.default.x")
	if value, revision, err := c.Get(t.Context()); err != nil || revision != 0 || value.Term != 0 {
		t.Errorf("Get() = %+v, %d, %v of an empty cell", value, revision, err)
	}
	revision, err := c.Set(t.Context(), record{Term: 7, Queued: []string{"a"}}, 0, kvstore.Labels{Event: "changed"})
	if err != nil {
		t.Fatalf("Set() = %v", err)
	}
	if value, at, err := c.Get(t.Context()); err != nil || at != revision || value.Term != 7 || len(value.Queued) != 1 {
		t.Errorf("Get() = %+v, %d, %v", value, at, err)
	}
	_, err = c.Set(t.Context(), record{}, 0, kvstore.Labels{})
	wantErr(t, "Set at a revision that is past", err, kvstore.ErrConflict)
	marker, err := c.Remove(t.Context(), revision, time.Minute, kvstore.Labels{})
	if err != nil {
		t.Fatalf("Remove() = %v", err)
	}
	if value, at, err := c.Get(t.Context()); err != nil || at != marker || value.Term != 0 {
		t.Errorf("Get() = %+v, %d, %v of a removed cell, want nothing at %d", value, at, err, marker)
	}
}
