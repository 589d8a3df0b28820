package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
)

// askedLocks are locks that note what they are asked, and are always free.
type askedLocks struct {
	reads  chan backend.Read
	writes chan backend.Write
	waits  chan time.Duration
}

var _ server.Locks = (*askedLocks)(nil)

func (l *askedLocks) Get(_ context.Context, n engine.Name, read backend.Read) (engine.Object[coordination.Lock], backend.Stamp, error) {
	l.reads <- read
	return engine.Object[coordination.Lock]{Name: n}, backend.Stamp{Revision: 7, Epoch: 3}, nil
}

func (l *askedLocks) List(_ context.Context, _, _ string, _ int, read backend.Read) (engine.Page, backend.Stamp, error) {
	l.reads <- read
	return engine.Page{}, backend.Stamp{Revision: 7, Epoch: 3}, nil
}

func (l *askedLocks) Clear(_ context.Context, n engine.Name, by backend.Write) (engine.Object[coordination.Lock], backend.Stamp, error) {
	l.writes <- by
	return engine.Object[coordination.Lock]{Name: n}, backend.Stamp{Revision: 8, Epoch: 3}, nil
}

func (l *askedLocks) Acquire(_ context.Context, _ engine.Name, _ coordination.Party, _ coordination.Mode, wait time.Duration, by backend.Write) (engine.Grant, backend.Stamp, error) {
	l.waits <- wait
	l.writes <- by
	return engine.Grant{Token: coordination.Token{Epoch: 3, Counter: 8}}, backend.Stamp{Revision: 8, Epoch: 3}, nil
}

func (l *askedLocks) Release(_ context.Context, n engine.Name, _ coordination.Party, by backend.Write) (engine.Object[coordination.Lock], backend.Stamp, error) {
	l.writes <- by
	return engine.Object[coordination.Lock]{Name: n}, backend.Stamp{Revision: 8, Epoch: 3}, nil
}

func serveAskedLocks(t *testing.T) (*wireWorld, *askedLocks) {
	t.Helper()
	l := &askedLocks{make(chan backend.Read, 1), make(chan backend.Write, 1), make(chan time.Duration, 1)}
	b := memory.New(backend.Nobody, memory.WithEpoch(3))
	t.Cleanup(func() { b.Close() })
	return serveWire(t, b, 0, nil, server.WithCoordination(server.Coordination{Locks: l})), l
}

func TestReadsOfObjectsAreLinearizableUnlessTheySayOtherwise(t *testing.T) {
	t.Parallel()
	w, locks := serveAskedLocks(t)
	for body, want := range map[string]backend.Read{
		"":                               {Consistency: backend.Linearizable},
		`{"min_revision":5}`:             {Consistency: backend.Linearizable, MinRevision: 5},
		`{"consistency":"local"}`:        {Consistency: backend.Local},
		`{"max_age_ms":20}`:              {Consistency: backend.Linearizable, MaxAge: 20 * time.Millisecond},
		`{"consistency":"linearizable"}`: {Consistency: backend.Linearizable},
	} {
		for _, subject := range []string{"lock.get.default.l", "lock.list", "lock.list.default"} {
			reply := w.must(t, nil, subject, body)
			if diff := cmp.Diff(want, <-locks.reads); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", subject, body, diff)
			}
			if reply.Header.Get(bus.HeaderRevision) != "7" || reply.Header.Get(bus.HeaderEpoch) != "3" || reply.Header.Get(bus.HeaderAge) == "" {
				t.Errorf("%s %s: the headers are %v; want those of the stamp", subject, body, reply.Header)
			}
		}
	}
	for body, field := range map[string]string{`{"consistency":"x"}`: "consistency", `{"max_age_ms":-1}`: "max_age_ms", `{"wait_ms":1}`: "wait_ms"} {
		if e := w.fail(t, bus.CodeInvalid, "lock.get.default.l", body); e.Field != field {
			t.Errorf("%s: the field is %q; want %q", body, e.Field, field)
		}
	}
}

func TestAChangeOfAnObjectSaysWhoWhatAndWhetherAgain(t *testing.T) {
	t.Parallel()
	w, locks := serveAskedLocks(t)
	headers := []string{bus.HeaderRequestID, "one", bus.HeaderEpoch, "3", bus.HeaderRepeat, "6"}
	for subject, c := range map[string]struct {
		body string
		want backend.Write
	}{
		"lock.release.default.l":       {as(1) + "}", backend.Write{Owner: owner(1)}},
		"admin.release.lock.default.l": {`{"reason":"stuck"}`, backend.Write{Reason: "stuck"}},
	} {
		reply := w.must(t, nil, subject, c.body, headers...)
		c.want.ID = bus.OperationID("one", bus.DefaultPrefix+"."+subject, []byte(c.body), -1)
		c.want.Epoch, c.want.Repeated, c.want.Known = 3, true, 6
		if diff := cmp.Diff(c.want, <-locks.writes, cmp.AllowUnexported(backend.Condition{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", subject, diff)
		}
		if reply.Header.Get(bus.HeaderRevision) != "8" {
			t.Errorf("%s: the headers are %v; want the revision that it made", subject, reply.Header)
		}
	}
	w.must(t, nil, "admin.release.lock.default.l", "")
	if by := <-locks.writes; by.Reason != backend.ReasonAdmin {
		t.Errorf("an operator who gives no reason: %q; want %q", by.Reason, backend.ReasonAdmin)
	}
}

func TestAWaitCountsFromTheArrivalOfTheRequest(t *testing.T) {
	t.Parallel()
	w, locks := serveAskedLocks(t)
	for _, ms := range []int64{0, 1, 30_000, 86_400_000} {
		w.must(t, nil, "lock.acquire.default.l", as(1)+fmt.Sprintf(`,"wait_ms":%d}`, ms))
		got, asked := <-locks.waits, time.Duration(ms)*time.Millisecond
		<-locks.writes
		if got > asked || asked > 0 && (got <= 0 || asked-got > 10*time.Second) {
			t.Errorf("asked to wait %v, the engine was asked for %v", asked, got)
		}
	}
	for _, ms := range []int64{-1, 86_400_001} {
		if e := w.fail(t, bus.CodeInvalid, "lock.acquire.default.l", as(1)+fmt.Sprintf(`,"wait_ms":%d}`, ms)); e.Field != "wait_ms" {
			t.Errorf("%d: the field is %q", ms, e.Field)
		}
	}
}

func TestKindsThatANodeDoesNotHaveHaveNoResponder(t *testing.T) {
	t.Parallel()
	w, _ := serveAskedLocks(t)
	for _, subject := range []string{"election.get.a.b", "semaphore.list", "barrier.get.a.b", "counter.get.a.b", "proposal.list.a", "admin.release.barrier.a.b", "admin.release.counter.a.b"} {
		if reply, err := w.nc.Request(bus.DefaultPrefix+"."+subject, nil, 5*time.Second); err == nil {
			t.Errorf("%s was answered: %s", subject, reply.Data)
		}
	}
}
