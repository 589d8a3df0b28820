package backendtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
)

var readClauses = []clause{
	{name: "LookupOfAnAbsentNameIsErrNotFoundWithAStamp", check: lookupAbsent},
	{name: "NamespacesAndServicesAreApart", check: apart},
	{name: "AReadWithAMinimumRevisionSeesThatWrite", check: readYourWrites},
	{name: "AReadWithAMinimumRevisionWaitsForIt", check: readWaits},
	{name: "AMinimumRevisionThatDoesNotComeIsErrUnavailable", check: readWaitsInVain},
	{name: "ARevisionOfAnotherEpochIsErrCompacted", check: readOfAnotherEpoch},
	{name: "LinearizableReadsReflectEveryAcknowledgedWrite", check: linearizableReads},
	{name: "AReadIsNoOlderThanItsMaximumAge", check: maxAge},
}

func lookupAbsent(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	for _, read := range []backend.Read{seen(stamp), linearizable} {
		_, got, err := s.Lookup(patient(t), instance("payments", "i-2").Key, read)
		fails(t, "Lookup", err, backend.ErrNotFound)
		if got.Revision < stamp.Revision || got.Epoch != stamp.Epoch {
			t.Errorf("the stamp of nothing is %+v; want at least %+v", got, stamp)
		}
	}
}

// foundation: "namespaces are isolated".
func apart(t *testing.T, s subject) {
	one, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	r := instance("payments", "i-1")
	r.Namespace = "other"
	two, _ := s.register(t, r, backend.Write{})
	three, stamp := s.register(t, instance("orders", "i-1"), backend.Write{})
	for _, r := range []backend.Registration{one, two, three} {
		same(t, s.lookup(t, r.Key, seen(stamp)), r)
	}
	_, stamp = s.unregister(t, one.Key, backend.Write{})
	s.absent(t, one.Key, seen(stamp))
	same(t, s.lookup(t, two.Key, seen(stamp)), two)
	same(t, s.lookup(t, three.Key, seen(stamp)), three)
}

// R5.
func readYourWrites(t *testing.T, s subject) {
	r, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	for i := range 20 {
		got, stamp := s.update(t, r.Key, backend.Change{Weight: address(uint16(i))}, backend.Write{})
		same(t, s.lookup(t, r.Key, seen(stamp)), got)
		list := s.list(t, backend.Query{Scope: scope("payments"), Read: seen(stamp)})
		if len(list) != 1 {
			t.Fatalf("the list has %d entries; want 1", len(list))
		}
		same(t, *list[0], got)
	}
}

func readWaits(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	next := backend.Read{MinRevision: stamp.Revision + 1, Epoch: stamp.Epoch}
	found, listed := make(chan error, 1), make(chan error, 1)
	ctx := patient(t)
	go func() {
		_, got, err := s.Lookup(ctx, instance("payments", "anchor").Key, next)
		if err == nil && got.Revision < next.MinRevision {
			err = errors.New("look-up answered before its minimum revision")
		}
		found <- err
	}()
	go func() {
		_, got, err := s.List(ctx, backend.Query{Scope: scope("payments"), Read: next})
		if err == nil && got.Revision < next.MinRevision {
			err = errors.New("list answered before its minimum revision")
		}
		listed <- err
	}()
	s.register(t, instance("payments", "i-1"), backend.Write{})
	for _, answer := range []chan error{found, listed} {
		if err := <-answer; err != nil {
			t.Error(err)
		}
	}
}

// R6.
func readWaitsInVain(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	never := backend.Read{MinRevision: stamp.Revision + 1_000_000, Epoch: stamp.Epoch}
	ctx, cancel := context.WithTimeout(patient(t), 20*time.Millisecond)
	defer cancel()
	_, _, err := s.Lookup(ctx, instance("payments", "i-1").Key, never)
	fails(t, "Lookup", err, backend.ErrUnavailable)
	fails(t, "Lookup", err, context.DeadlineExceeded)
	page, _, err := s.List(ctx, backend.Query{Read: never})
	fails(t, "List", err, backend.ErrUnavailable)
	if page != nil {
		t.Errorf("List returned %d entries beside its error; want none", len(page.Registrations))
	}
	_, _, err = backend.Count(ctx, s.Backend, backend.Query{Read: never})
	fails(t, "Count", err, backend.ErrUnavailable)
	_, _, err = backend.Services(ctx, s.Backend, backend.Query{Read: never})
	fails(t, "Services", err, backend.ErrUnavailable)
}

func readOfAnotherEpoch(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	for _, epoch := range []backend.Epoch{stamp.Epoch + 1, stamp.Epoch + 1000} {
		read := backend.Read{MinRevision: 1, Epoch: epoch}
		_, _, err := s.Lookup(patient(t), instance("payments", "i-1").Key, read)
		fails(t, "Lookup", err, backend.ErrCompacted)
		_, _, err = s.List(patient(t), backend.Query{Read: read})
		fails(t, "List", err, backend.ErrCompacted)
		_, _, err = backend.Count(patient(t), s.Backend, backend.Query{Read: read})
		fails(t, "Count", err, backend.ErrCompacted)
		_, _, err = backend.Services(patient(t), s.Backend, backend.Query{Read: read})
		fails(t, "Services", err, backend.ErrCompacted)
	}
}

// R5.
func linearizableReads(t *testing.T, s subject) {
	_, errs := contend(6, func(i int) (backend.Registration, error) {
		r := instance("payments", string(rune('a'+i)))
		for round := range 5 {
			r.Weight = uint16(round)
			wrote, _, err := s.Register(patient(t), r, backend.Write{})
			if err != nil {
				return wrote, err
			}
			read, stamp, err := s.Lookup(patient(t), r.Key, linearizable)
			if err != nil {
				return wrote, err
			}
			if read.Revision != wrote.Revision || stamp.Revision < wrote.Revision {
				t.Errorf("a read at %d found revision %d; want what was written at %d", stamp.Revision, read.Revision, wrote.Revision)
			}
			if _, _, err := s.Unregister(patient(t), r.Key, backend.Write{}); err != nil {
				return wrote, err
			}
			if _, _, err := s.Lookup(patient(t), r.Key, linearizable); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("a look-up after the removal: %v; want ErrNotFound", err)
			}
		}
		return backend.Registration{}, nil
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
}

// R5.
func maxAge(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	for _, age := range []time.Duration{time.Nanosecond, time.Millisecond, time.Hour} {
		read := seen(stamp)
		read.MaxAge = age
		_, got, err := s.Lookup(patient(t), r.Key, read)
		switch {
		case err == nil && got.Age > age:
			t.Errorf("a read of at most %v answered from %v ago", age, got.Age)
		case err != nil && age == time.Hour:
			t.Errorf("a read of at most an hour: %v; want nil", err)
		case err != nil:
			fails(t, "Lookup", err, backend.ErrUnavailable)
		}
	}
}
