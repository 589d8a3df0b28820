package backendtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/roostbus/roost/backend"
)

var batchClauses = []clause{
	{name: "ABatchAnswersEachOperationInOrder", check: batchOrder},
	{name: "InABatchTwoOperationsOnOneKeyApplyInTheirOrder", check: batchOneKey},
	{name: "ABatchTakesAtMost1000Operations", check: batchLimit},
	{name: "AnAtomicBatchIsAllOrNone", check: batchAtomic},
	{name: "AnAtomicBatchNamesAKeyOnce", check: batchTwice},
	{name: "ARepeatedBatchGetsTheSameAnswers", check: batchRepeat},
	{name: "ABatchTellsEachOfItsChanges", check: batchEvents},
}

// batch applies what must be taken.
func (s subject) batch(t *testing.T, operations []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp) {
	t.Helper()
	results, stamp, err := backend.Batch(patient(t), s.Backend, operations, atomic)
	if err != nil || len(results) != len(operations) {
		t.Fatalf("Batch = %d results, %v; want %d and nil", len(results), err, len(operations))
	}
	return results, stamp
}

// reports checks what a batch says of a register or an update against what is there.
func (s subject) reports(t *testing.T, got, stored backend.Registration) {
	t.Helper()
	if s.profile.BriefBatches {
		stored.Endpoints, stored.Metadata, stored.Weight, stored.Status = got.Endpoints, got.Metadata, got.Weight, got.Status
		stored.CreatedRevision, stored.CreatedAt, stored.UpdatedAt = got.CreatedRevision, got.CreatedAt, got.UpdatedAt
	}
	same(t, got, stored)
}

func registering(r backend.Registration, w backend.Write) backend.Operation {
	return backend.Operation{Kind: backend.OpRegister, Registration: r, Write: w}
}

func updating(key backend.Key, c backend.Change, w backend.Write) backend.Operation {
	return backend.Operation{Kind: backend.OpUpdate, Registration: backend.Registration{Key: key}, Change: c, Write: w}
}

func unregistering(key backend.Key, w backend.Write) backend.Operation {
	return backend.Operation{Kind: backend.OpUnregister, Registration: backend.Registration{Key: key}, Write: w}
}

// foundation: "bulk: mixed ok, conflict, ok in order".
func batchOrder(t *testing.T, s subject) {
	old, _ := s.register(t, instance("payments", "old"), backend.Write{})
	gone, _ := s.register(t, instance("payments", "gone"), backend.Write{})
	bad := instance("payments", "bad")
	bad.Status = 9
	results, stamp := s.batch(t, []backend.Operation{
		registering(instance("payments", "a"), backend.Write{}),
		registering(instance("payments", "old"), backend.Write{If: backend.IfAbsent()}),
		registering(instance("orders", "b"), backend.Write{}),
		updating(old.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{If: backend.IfRevision(old.Revision)}),
		updating(instance("payments", "never").Key, backend.Change{}, backend.Write{}),
		registering(bad, backend.Write{}),
		unregistering(gone.Key, backend.Write{}),
		unregistering(instance("payments", "never").Key, backend.Write{}),
		{Kind: 9, Registration: instance("payments", "what")},
	}, false)

	for _, i := range []int{0, 2, 3, 6, 7} {
		fails(t, fmt.Sprintf("operation %d", i), results[i].Err, nil)
	}
	conflicts(t, "operation 1", results[1].Err, old.Revision)
	fails(t, "operation 4", results[4].Err, backend.ErrNotFound)
	invalid(t, "operation 5", results[5].Err, "status")
	fails(t, "operation 8", results[8].Err, backend.ErrInvalid)
	for _, i := range []int{0, 2, 3} {
		r := results[i].Registration
		s.reports(t, r, s.lookup(t, r.Key, seen(stamp)))
	}
	if r := results[6].Removal; !r.Removed || r.Revision <= gone.Revision || results[6].Revision() != r.Revision {
		t.Errorf("operation 6 = %+v; want a removal", r)
	}
	if r := results[7].Removal; r.Removed {
		t.Errorf("operation 7 = %+v; want nothing removed", r)
	}
	s.absent(t, gone.Key, seen(stamp))
	s.selects(t, backend.Query{Read: seen(stamp)}, "b", "a", "old")
}

func batchOneKey(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	results, stamp := s.batch(t, []backend.Operation{
		registering(r, backend.Write{If: backend.IfAbsent()}),
		updating(r.Key, backend.Change{Weight: address[uint16](1)}, backend.Write{}),
		updating(r.Key, backend.Change{Merge: address(backend.Metadata(`{"a":1}`))}, backend.Write{}),
		registering(instance("payments", "i-2"), backend.Write{}),
		unregistering(instance("payments", "i-2").Key, backend.Write{}),
		updating(r.Key, backend.Change{Status: address(backend.Down)}, backend.Write{}),
	}, false)
	var last backend.Revision
	for i, result := range results {
		fails(t, fmt.Sprintf("operation %d", i), result.Err, nil)
		if i != 3 && i != 4 {
			if result.Revision() <= last {
				t.Errorf("operation %d has revision %d after %d of the same key", i, result.Revision(), last)
			}
			last = result.Revision()
		}
	}
	got := s.lookup(t, r.Key, seen(stamp))
	s.reports(t, results[5].Registration, got)
	if got.Weight != 1 || got.Metadata != `{"a":1}` || got.Status != backend.Down || got.CreatedRevision != results[0].Revision() {
		t.Errorf("after all: %s", text(got))
	}
	s.selects(t, backend.Query{Read: seen(stamp)}, "i-1")
}

func batchLimit(t *testing.T, s subject) {
	operations := make([]backend.Operation, backend.MaxBatch+1)
	for i := range operations {
		operations[i] = registering(instance("payments", fmt.Sprintf("i-%04d", i)), backend.Write{})
	}
	_, _, err := backend.Batch(patient(t), s.Backend, operations, false)
	invalid(t, "Batch of 1001", err, "operations")
	s.selects(t, backend.Query{Read: linearizable})

	results, stamp := s.batch(t, operations[:backend.MaxBatch], false)
	for i := range results {
		if results[i].Err != nil {
			t.Fatalf("operation %d: %v", i, results[i].Err)
		}
	}
	if n, _, err := backend.Count(patient(t), s.Backend, backend.Query{Read: seen(stamp)}); err != nil || n != backend.MaxBatch {
		t.Errorf("Count after a batch of 1000 = %d, %v", n, err)
	}
}

func batchAtomic(t *testing.T, s subject) {
	old, _ := s.register(t, instance("payments", "old"), backend.Write{})
	gone, _ := s.register(t, instance("payments", "gone"), backend.Write{})
	operations := []backend.Operation{
		registering(instance("payments", "a"), backend.Write{If: backend.IfAbsent()}),
		updating(old.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{}),
		unregistering(gone.Key, backend.Write{}),
		updating(instance("payments", "never").Key, backend.Change{}, backend.Write{}),
	}
	results, _, err := backend.Batch(patient(t), s.Backend, operations, true)
	if s.profile.NoAtomicBatch {
		fails(t, "an atomic Batch", err, backend.ErrNotAtomic)
		s.selects(t, backend.Query{Read: linearizable}, "gone", "old")
		return
	}
	var at *backend.OperationError
	if !errors.As(err, &at) || at.Index != 3 || !errors.Is(err, backend.ErrNotFound) || len(results) != 0 {
		t.Errorf("Batch = %d results, %v; want operation 3 not found", len(results), err)
	}
	s.selects(t, backend.Query{Read: linearizable}, "gone", "old")
	same(t, s.lookup(t, old.Key, linearizable), old)

	done, stamp := s.batch(t, operations[:3], true)
	for i, result := range done {
		fails(t, fmt.Sprintf("operation %d", i), result.Err, nil)
		if result.Revision() <= gone.Revision || result.Revision() > stamp.Revision {
			t.Errorf("operation %d has revision %d, the batch %d", i, result.Revision(), stamp.Revision)
		}
	}
	s.selects(t, backend.Query{Read: seen(stamp)}, "a", "old")
	s.reports(t, done[1].Registration, s.lookup(t, old.Key, seen(stamp)))
}

func batchTwice(t *testing.T, s subject) {
	_, _, err := backend.Batch(patient(t), s.Backend, []backend.Operation{
		registering(instance("payments", "a"), backend.Write{}),
		registering(instance("payments", "b"), backend.Write{}),
		unregistering(instance("payments", "a").Key, backend.Write{}),
	}, true)
	invalid(t, "an atomic Batch with a key twice", err, "operations")
	s.selects(t, backend.Query{Read: linearizable})
}

func batchRepeat(t *testing.T, s subject) {
	gone, _ := s.register(t, instance("payments", "gone"), backend.Write{})
	old, _ := s.register(t, instance("payments", "old"), backend.Write{})
	operations := []backend.Operation{
		registering(instance("payments", "a"), backend.Write{ID: operation("0"), If: backend.IfAbsent()}),
		updating(old.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{ID: operation("1"), If: backend.IfRevision(old.Revision)}),
		unregistering(gone.Key, backend.Write{ID: operation("2"), If: backend.IfRevision(gone.Revision)}),
	}
	for _, atomic := range []bool{false, true} {
		if atomic && (s.profile.NoAtomicBatch || s.profile.BriefBatches) {
			return
		}
		first, _ := s.batch(t, operations, atomic)
		_, stamp := s.register(t, instance("payments", fmt.Sprint("anchor-", atomic)), backend.Write{})
		w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
		again, _ := s.batch(t, operations, atomic)
		for i := range first {
			fails(t, fmt.Sprintf("operation %d", i), first[i].Err, nil)
			fails(t, fmt.Sprintf("the repeat of operation %d", i), again[i].Err, nil)
			same(t, again[i].Registration, first[i].Registration)
			if again[i].Removal != first[i].Removal {
				t.Errorf("the repeat of operation %d removes %+v; want %+v", i, again[i].Removal, first[i].Removal)
			}
		}
		s.quiet(t, w)
		s.unregister(t, instance("payments", "marker").Key, backend.Write{})
	}
}

func batchEvents(t *testing.T, s subject) {
	old, stamp := s.register(t, instance("payments", "old"), backend.Write{})
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	for _, atomic := range []bool{false, true} {
		if atomic && s.profile.NoAtomicBatch {
			return
		}
		name := fmt.Sprint("new-", atomic)
		results, _ := s.batch(t, []backend.Operation{
			registering(instance("payments", name), backend.Write{Reason: s.reason("batch")}),
			updating(old.Key, backend.Change{Weight: address(old.Weight + 1)}, backend.Write{}),
		}, atomic)
		want := map[backend.Key]backend.Event{}
		for i, kind := range []backend.EventKind{backend.Registered, backend.Updated} {
			r := results[i].Registration
			want[r.Key] = backend.Event{Kind: kind, Registration: &r, Revision: r.Revision}
		}
		for range results {
			e := w.next(t)
			if e.Registration == nil || e.Kind != want[e.Registration.Key].Kind || e.Revision != want[e.Registration.Key].Revision {
				t.Errorf("event %s; want one of %v", show(e), want)
			}
		}
		old = results[1].Registration
	}
}
