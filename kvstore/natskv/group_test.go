package natskv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// disk is a server that does one thing after the other.
type disk struct {
	busy chan struct{} // filled while it works

	mu         sync.Mutex    // guards what follows
	one, group time.Duration // how long a write takes, and a group
	last       uint64
	groups     [][]string // the subjects of each that was made
	refuse     string     // groups with this subject are refused
	lose       bool       // the next group is made and its answer lost
}

func (d *disk) write() uint64 {
	d.busy <- struct{}{}
	defer func() { <-d.busy }()
	one, _ := d.takes()
	time.Sleep(one)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	return d.last
}

// takes returns how long a write takes, and a group.
func (d *disk) takes() (one, group time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.one, d.group
}

// slow has a write take so long from now on, and a group.
func (d *disk) slow(one, group time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.one, d.group = one, group
}

// made returns the groups that were made.
func (d *disk) made() [][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.groups)
}

// newest returns the newest revision.
func (d *disk) newest() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

func (d *disk) send(messages []*nats.Msg, published func()) (uint64, error) {
	d.busy <- struct{}{}
	defer func() { <-d.busy }()
	subjects := make([]string, len(messages))
	for i, m := range messages {
		subjects[i] = m.Subject
	}
	published()
	_, group := d.takes()
	time.Sleep(group)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range subjects {
		if s == d.refuse {
			return 0, &jetstream.APIError{Code: 400, ErrorCode: codeWrongRevision}
		}
	}
	d.groups = append(d.groups, subjects)
	d.last += uint64(len(messages))
	if d.lose {
		d.lose = false
		return 0, errLost
	}
	return d.last, nil
}

// grouped is a grouper in front of d.
func grouped(t *testing.T, d *disk) *grouper {
	t.Helper()
	done := make(chan struct{})
	d.busy = make(chan struct{}, 1)
	g := newGrouper(done, d.send)
	t.Cleanup(func() {
		close(done)
		g.close()
	})
	return g
}

// put writes key as a Store does. It returns whether that was by itself.
func (d *disk) put(ctx context.Context, g *grouper, key string) (uint64, bool, error) {
	revision, err := g.write(ctx, key, &nats.Msg{Subject: key})
	if !errors.Is(err, errAlone) {
		return revision, false, err
	}
	defer g.begin(1)()
	return d.write(), true, nil
}

// crowded has n callers write keys of their own, one after the other, for so long. It
// returns how many writes were made.
func (d *disk) crowded(t *testing.T, g *grouper, n int, long time.Duration) int {
	t.Helper()
	var all sync.WaitGroup
	counts := make([]int, n)
	end := time.Now().Add(long)
	for caller := range n {
		all.Go(func() {
			for time.Now().Before(end) {
				if _, _, err := d.put(t.Context(), g, fmt.Sprintf("key.%d.%d", caller, counts[caller])); err != nil {
					t.Errorf("write = %v", err)
				}
				counts[caller]++
			}
		})
	}
	all.Wait()
	sum := 0
	for _, c := range counts {
		sum += c
	}
	return sum
}

func TestGroupsCostLessThanWritesByThemselvesWhereSyncsAreDear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{one: time.Millisecond, group: 14 * time.Millisecond}
		made := d.crowded(t, grouped(t, d), 64, 20*time.Second)
		// By themselves it would be a thousand a second.
		if made < 3*20_000 {
			t.Errorf("%d writes in 20 s, want three times the 20000 of writes by themselves", made)
		}
	})
}

func TestWritesGoByThemselvesWhereSyncsAreCheap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{one: 50 * time.Microsecond, group: 5 * time.Millisecond}
		made := d.crowded(t, grouped(t, d), 64, 20*time.Second)
		if made < 95*20_000/100*20 {
			t.Errorf("%d writes in 20 s, want nearly the 400000 of writes by themselves", made)
		}
	})
}

func TestWritesAreGroupedOnceTheDiskBecomesSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{one: 50 * time.Microsecond, group: 5 * time.Millisecond}
		g := grouped(t, d)
		d.crowded(t, g, 64, 10*time.Second)
		d.slow(2*time.Millisecond, 20*time.Millisecond)
		d.crowded(t, g, 64, 5*time.Second)
		if made := d.crowded(t, g, 64, 10*time.Second); made < 3*5000 {
			t.Errorf("%d writes in 10 s, want three times the 5000 of writes by themselves", made)
		}
	})
}

// primed is a grouper that has seen that groups are cheaper.
func primed(t *testing.T, d *disk) *grouper {
	t.Helper()
	g := grouped(t, d)
	now := time.Now()
	one, group := d.takes()
	g.costs = costs{one: one, oneAt: now, group: group, groupAt: now}
	return g
}

// atOnce has every key written by a caller of its own, all at once, after blocking the
// disk for a moment, and returns what each was answered.
func (d *disk) atOnce(ctx context.Context, g *grouper, keys ...string) (revisions []uint64, alone []bool, errs []error) {
	revisions, alone, errs = make([]uint64, len(keys)), make([]bool, len(keys)), make([]error, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		all.Go(func() { revisions[i], alone[i], errs[i] = d.put(ctx, g, key) })
	}
	all.Wait()
	return revisions, alone, errs
}

func keys(n int) []string {
	of := make([]string, n)
	for i := range of {
		of[i] = fmt.Sprintf("key.%d", i)
	}
	return of
}

func slow() *disk { return &disk{one: time.Millisecond, group: 5 * time.Millisecond} }

func TestALoneWriterDoesNotWaitForCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := slow()
		g := primed(t, d)
		for range 100 {
			from := time.Now()
			if _, alone, err := d.put(t.Context(), g, "key"); err != nil || !alone {
				t.Fatalf("write: alone %t, %v; want it to go by itself", alone, err)
			}
			if took := time.Since(from); took != d.one {
				t.Fatalf("a write took %v, want %v", took, d.one)
			}
		}
	})
}

func TestEachOfAGroupGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := slow()
		revisions, alone, errs := d.atOnce(t.Context(), primed(t, d), keys(64)...)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if len(d.made()) == 0 {
			t.Fatal("no group was made")
		}
		seen := map[uint64]bool{}
		for i, r := range revisions {
			if r == 0 || r > 64 || seen[r] {
				t.Errorf("revision %d of write %d, want one of 64 of its own", r, i)
			}
			seen[r] = true
		}
		first := revisions[0]
		for _, subjects := range d.made() {
			for k, s := range subjects[1:] {
				var a, b int
				_, _ = fmt.Sscanf(subjects[k], "key.%d", &a)
				_, _ = fmt.Sscanf(s, "key.%d", &b)
				if revisions[b] != revisions[a]+1 || alone[a] || alone[b] {
					t.Errorf("revisions %d and %d of neighbours in a group (the first was %d)", revisions[a], revisions[b], first)
				}
			}
		}
	})
}

func TestWhereOneOfAGroupIsRefusedEachGoesByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := slow()
		d.refuse = "key.40"
		revisions, alone, errs := d.atOnce(t.Context(), primed(t, d), keys(64)...)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if len(d.made()) != 0 || !alone[40] {
			t.Errorf("%d groups were made, and the refused write went alone: %t", len(d.made()), alone[40])
		}
		if d.newest() != 64 || revisions[40] == 0 {
			t.Errorf("%d writes were made, want 64", d.newest())
		}
	})
}

func TestAGroupWhoseAnswerIsLostIsLostToEachOfIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := slow()
		d.lose = true
		_, alone, errs := d.atOnce(t.Context(), primed(t, d), keys(64)...)
		lost := 0
		for i, err := range errs {
			switch {
			case errors.Is(err, errLost):
				lost++
			case err != nil || !alone[i]:
				t.Errorf("write %d = %v, alone %t", i, err, alone[i])
			}
		}
		if len(d.made()) == 0 || lost != len(d.made()[0]) {
			t.Errorf("%d are lost, want those of the first group, %d", lost, len(d.made()[0]))
		}
	})
}

func TestAKeyIsAtMostOnceInAGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := slow()
		_, _, errs := d.atOnce(t.Context(), primed(t, d), append(keys(64), keys(64)...)...)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for _, subjects := range d.made() {
			seen := map[string]bool{}
			for _, s := range subjects {
				if seen[s] {
					t.Errorf("%s is in one group twice", s)
				}
				seen[s] = true
			}
		}
		if d.newest() != 128 {
			t.Errorf("%d writes were made, want 128", d.newest())
		}
	})
}

// TestWhoGivesUpKnowsWhetherItWasSent shows that nobody in the queue is said to be maybe
// written, and nobody who has left it to be surely not.
func TestWhoGivesUpKnowsWhetherItWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := slow()
		d.slow(time.Millisecond, 20*time.Millisecond)
		g := primed(t, d)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { d.atOnce(t.Context(), g, keys(40)...) }) // a few alone, and a group
		time.Sleep(10 * time.Millisecond)
		_, _, errs := d.atOnce(ctx, g, "late.1", "late.2")
		for _, err := range errs {
			if !errors.Is(err, errNotSent) {
				t.Errorf("one in the queue = %v, want %v", err, errNotSent)
			}
		}
		all.Wait()
		for _, subjects := range d.made() {
			for _, s := range subjects {
				if s == "late.1" || s == "late.2" {
					t.Errorf("%s was sent after its caller had given up", s)
				}
			}
		}
		d = slow()
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, alone, errs := d.atOnce(ctx, primed(t, d), keys(40)...)
		if len(d.made()) != 0 {
			t.Fatal("a group was made before anybody gave up")
		}
		for i, err := range errs {
			if !alone[i] && !errors.Is(err, errLost) {
				t.Errorf("one that was sent = %v, want %v", err, errLost)
			}
		}
	})
}
