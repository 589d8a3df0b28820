package backendtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
)

var waitClauses = []clause{
	{name: "AListThatWaitsIsAnsweredByTheNextChangeInScope", check: listWaits},
	{name: "AListThatWaitsIsAnsweredByAnyKindOfChange", check: listWaitsForAnyChange},
	{name: "AListThatWaitsIsAnsweredByTheEndOfALease", check: listWaitsForEnding, owners: true},
	{name: "AListThatWaitsInVainIsOneWithoutChanges", check: listWaitsInVain},
	{name: "AListDoesNotWaitForWhatHasHappened", check: listDoesNotWait},
	{name: "OfManyListsThatWaitEachIsAnsweredByItsOwnChange", check: manyWait},
	{name: "ALookupThatWaitsIsAnsweredByTheRegistration", check: lookupWaits},
	{name: "ALookupThatWaitsIsAnsweredWhenAnEndedOwnerIsReplaced", check: lookupWaitsForReplacement, owners: true},
	{name: "ALookupThatWaitsInVainIsErrTimeout", check: lookupWaitsInVain},
	{name: "AWaitOutOfBoundsIsErrInvalid", check: waitBounds},
	{name: "AWaitForAChangeEndsWithItsContextAndWithClose", check: waitEnds},
}

// answer is what a call that waits has returned.
type answer struct {
	page  *backend.Page
	found backend.Registration
	stamp backend.Stamp
	err   error
}

// waiting asks for a list beside the test.
func (s subject) waiting(t *testing.T, q backend.Query) <-chan answer {
	t.Helper()
	ctx := patient(t)
	answers := make(chan answer, 1)
	go func() {
		page, stamp, err := s.List(ctx, q)
		answers <- answer{page: page, stamp: stamp, err: err}
	}()
	return answers
}

// within returns a query like after that waits as long as the test has patience.
func within(in backend.Scope, stamp backend.Stamp) backend.Query {
	q := after(in, stamp)
	q.Wait = patience
	return q
}

func listWaits(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	for in, name := range map[backend.Scope]string{scope("payments"): "a", {Namespace: "default"}: "b", {}: "c"} {
		answers := s.waiting(t, within(in, stamp))
		if in.Namespace != "" {
			r := instance("elsewhere", name)
			r.Namespace = "other"
			s.register(t, r, backend.Write{})
		}
		if in.Service != "" {
			s.register(t, instance("orders", name), backend.Write{})
		}
		r, now := s.register(t, instance("payments", name), backend.Write{})
		a := <-answers
		if a.err != nil || len(a.page.Registrations) != 1 || len(a.page.Removed) != 0 || a.stamp.Revision < now.Revision {
			t.Fatalf("%s: waited for %+v as of %+v, %v; want %s at %d", in, a.page, a.stamp, a.err, r.Key, now.Revision)
		}
		same(t, *a.page.Registrations[0], r)
		stamp = a.stamp
	}
}

func listWaitsForAnyChange(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	s.register(t, instance("orders", "i-1"), backend.Write{})
	for _, c := range []struct {
		name string
		do   func() backend.Stamp
		gone string // the reason, "" where it is there
	}{
		{"update", func() backend.Stamp {
			_, stamp := s.update(t, r.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
			return stamp
		}, ""},
		{"an update that does not match", func() backend.Stamp {
			_, stamp := s.update(t, r.Key, backend.Change{Status: address(backend.Down)}, backend.Write{})
			return stamp
		}, backend.ReasonUnmatched},
		{"an unregister", func() backend.Stamp {
			_, stamp := s.unregister(t, r.Key, backend.Write{Reason: "moved"})
			return stamp
		}, "moved"},
	} {
		q := within(scope("payments"), stamp)
		q.Status = []backend.Status{backend.Up}
		answers := s.waiting(t, q)
		changed := c.do()
		a := <-answers
		switch {
		case a.err != nil || a.stamp.Revision < changed.Revision:
			t.Fatalf("%s: %v as of %+v; want nil at %d", c.name, a.err, a.stamp, changed.Revision)
		case c.gone == "" && len(a.page.Registrations) != 1, c.gone != "" && (len(a.page.Removed) != 1 || a.page.Removed[0].Reason != c.gone):
			t.Errorf("%s: waited for %+v; want the change", c.name, a.page)
		}
		stamp = a.stamp
	}
}

// R3.
func listWaitsForEnding(t *testing.T, s subject) {
	r, stamp := s.owns(t, "a", instance("payments", "i-1"))
	answers := s.waiting(t, within(scope("payments"), stamp))
	s.leases.End("a", backend.ReasonExpired)
	a := <-answers
	if a.err != nil || len(a.page.Removed) != 1 || a.page.Removed[0].Key != r.Key || a.page.Removed[0].Reason != backend.ReasonExpired {
		t.Fatalf("waited for %+v, %v; want the end of %s", a.page, a.err, r.Key)
	}
	if a.stamp.Revision < a.page.Removed[0].Revision {
		t.Errorf("answered as of %d with an end at %d", a.stamp.Revision, a.page.Removed[0].Revision)
	}
}

func listWaitsInVain(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	q := after(scope("payments"), stamp)
	q.Wait = 50 * time.Millisecond
	_, other := s.register(t, instance("orders", "i-1"), backend.Write{})
	q.MinRevision = other.Revision
	begun := time.Now()
	page, got, err := s.List(patient(t), q)
	if err != nil || len(page.Registrations)+len(page.Removed) != 0 || page.Next != "" {
		t.Fatalf("waited in vain for %+v, %v; want nothing", page, err)
	}
	if took := time.Since(begun); took < q.Wait {
		t.Errorf("waited for %v; want %v", took, q.Wait)
	}
	if got.Revision < other.Revision {
		t.Errorf("nothing as of %d; want at least %d", got.Revision, other.Revision)
	}
	s.changed(t, after(scope("payments"), got), []string{})
}

func listDoesNotWait(t *testing.T, s subject) {
	_, stamp := s.fill(t, 1)
	names, _ := s.fill(t, 5) // the first is there already
	q := within(scope("payments"), stamp)
	q.Limit, q.Consistency = 2, backend.Linearizable
	there, gone, now := s.since(t, q) // later pages do not wait either
	if len(there) != 4 || len(gone) != 0 {
		t.Errorf("%q there, %+v removed; want all but the first of %q", instances(there), gone, names)
	}
	page, _, err := s.List(patient(t), backend.Query{
		Scope: scope("payments"), Since: &now.Revision, Read: backend.Read{Epoch: now.Epoch, Wait: time.Hour},
		After: backend.Cursor{Revision: now.Revision, Epoch: now.Epoch, Key: there[3].Key.String()}.String(),
	})
	if err != nil || len(page.Registrations)+len(page.Removed) != 0 {
		t.Errorf("a page behind the last = %+v, %v; want nothing, at once", page, err)
	}
}

func manyWait(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("anchor", "i"), backend.Write{})
	const services = 20
	var answers []<-chan answer
	for i := range services {
		answers = append(answers, s.waiting(t, within(scope(fmt.Sprint("s-", i)), stamp)), s.waiting(t, within(scope(fmt.Sprint("s-", i)), stamp)))
	}
	var writers sync.WaitGroup
	for i := range services {
		writers.Go(func() {
			if _, _, err := s.Register(t.Context(), instance(fmt.Sprint("s-", i), "i"), backend.Write{}); err != nil {
				t.Errorf("Register: %v", err)
			}
		})
	}
	writers.Wait()
	for i, c := range answers {
		a := <-c
		if a.err != nil || len(a.page.Registrations) != 1 || a.page.Registrations[0].Service != fmt.Sprint("s-", i/2) {
			t.Errorf("waiting for s-%d: %+v, %v; want its instance", i/2, a.page, a.err)
		}
	}
}

// looking looks up key beside the test, for as long as the test has patience.
func (s subject) looking(t *testing.T, key backend.Key) <-chan answer {
	t.Helper()
	ctx := patient(t)
	answers := make(chan answer, 1)
	go func() {
		found, stamp, err := s.Lookup(ctx, key, backend.Read{Wait: patience})
		answers <- answer{found: found, stamp: stamp, err: err}
	}()
	return answers
}

func lookupWaits(t *testing.T, s subject) {
	for _, name := range []string{"i-1", ""} {
		answers := s.looking(t, instance("payments", name).Key)
		s.register(t, instance("payments", name+"x"), backend.Write{})
		r, stamp := s.register(t, instance("payments", name), backend.Write{})
		a := <-answers
		if a.err != nil || a.stamp.Revision < stamp.Revision {
			t.Fatalf("waited for %s as of %+v, %v; want %s", text(a.found), a.stamp, a.err, text(r))
		}
		same(t, a.found, r)
		got, _, err := s.Lookup(patient(t), r.Key, backend.Read{Wait: time.Hour, MinRevision: stamp.Revision, Epoch: stamp.Epoch})
		fails(t, "Lookup of what is there", err, nil)
		same(t, got, r)
	}
}

// R3.
func lookupWaitsForReplacement(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "i-1"))
	s.leases.End("a", backend.ReasonClosed)
	answers := s.looking(t, first.Key)
	s.register(t, instance("payments", "i-2"), backend.Write{})
	second, _ := s.owns(t, "b", instance("payments", "i-1"))
	a := <-answers
	fails(t, "Lookup", a.err, nil)
	same(t, a.found, second)
}

func lookupWaitsInVain(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	_, stamp2 := s.unregister(t, r.Key, backend.Write{})
	begun := time.Now()
	read := backend.Read{Wait: 50 * time.Millisecond, MinRevision: max(stamp.Revision, stamp2.Revision), Epoch: stamp.Epoch}
	got, _, err := s.Lookup(patient(t), r.Key, read)
	fails(t, "Lookup", err, backend.ErrTimeout)
	if got.Revision != 0 {
		t.Errorf("Lookup returned %s beside its error", text(got))
	}
	if took := time.Since(begun); took < read.Wait {
		t.Errorf("waited for %v; want %v", took, read.Wait)
	}
}

func waitBounds(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	for _, wait := range []time.Duration{-time.Millisecond, backend.MaxWait + time.Millisecond} {
		_, _, err := s.Lookup(patient(t), r.Key, backend.Read{Wait: wait})
		invalid(t, "Lookup", err, "wait_ms")
		q := after(scope("payments"), stamp)
		q.Wait = wait
		_, _, err = s.List(patient(t), q)
		invalid(t, "List", err, "wait_ms")
	}
	_, _, err := s.List(patient(t), backend.Query{Read: backend.Read{Wait: time.Second}})
	invalid(t, "List without Since", err, "wait_ms")
	_, _, err = s.Lookup(patient(t), r.Key, backend.Read{Wait: backend.MaxWait})
	fails(t, "Lookup", err, nil)
}

// R6.
func waitEnds(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	ctx, cancel := context.WithCancel(patient(t))
	ended := make(chan error, 2)
	wait := func(ctx context.Context) {
		go func() {
			_, _, err := s.List(ctx, within(scope("orders"), stamp))
			ended <- err
		}()
		go func() {
			_, _, err := s.Lookup(ctx, instance("orders", "i-1").Key, backend.Read{Wait: patience})
			ended <- err
		}()
	}
	wait(ctx)
	s.lookup(t, instance("payments", "i-1").Key, linearizable) // give them time
	cancel()
	for range 2 {
		err := <-ended
		fails(t, "a wait", err, backend.ErrUnavailable)
		fails(t, "a wait", err, context.Canceled)
	}
	wait(patient(t))
	s.lookup(t, instance("payments", "i-1").Key, linearizable)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		fails(t, "a wait", <-ended, backend.ErrClosed)
	}
}
