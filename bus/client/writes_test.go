package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

func TestARequestIDIsTheCallersWhereOneIsGiven(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", stored))
	id := backend.OperationID{1, 2, 3}
	if _, _, err := c.Register(t.Context(), Registration{Key: key}, Write{ID: id}); err != nil {
		t.Fatal(err)
	}
	got := s.requests()[0].msg.Header.Get(bus.HeaderRequestID)
	if got != id.String() || len(got) > bus.MaxRequestID {
		t.Errorf("got %q; want %q", got, id)
	}
}

func TestAnEpochIsSaidOnlyWithARevisionThatBelongsToIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		write Write
		want  string
	}{
		"a revision":          {Write{If: IfRevision(5)}, "3"},
		"what is known":       {Write{}, "3"},
		"and a free name":     {Write{If: IfAbsent()}, "3"},
		"the caller's epoch":  {Write{If: IfRevision(5), Epoch: 2}, "2"},
		"and for a free name": {Write{If: IfAbsent(), Epoch: 2}, "2"},
	} {
		c, s := scripted(t, reply("7", "3", stored))
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Register(t.Context(), Registration{Key: key}, test.write); err != nil {
			t.Fatal(err)
		}
		if got := s.requests()[1].msg.Header.Get(bus.HeaderEpoch); got != test.want {
			t.Errorf("%s: said epoch %q; want %q", name, got, test.want)
		}
	}
}

func TestAFirstSendingSaysWhatItsSenderKnowsUnlessItsConditionDoes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		write Write
		want  []string // of each sending
	}{
		"no condition": {Write{}, []string{"7", "8", ""}},
		"a free name":  {Write{If: IfAbsent()}, []string{"7", "8", ""}},
		"a revision":   {Write{If: IfRevision(5)}, []string{"", "", ""}},
	} {
		synctest.Test(t, func(t *testing.T) {
			late := func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
				answer, err := failure(bus.CodeUnavailable, "3")(ctx, m)
				answer.Header.Set(bus.HeaderRevision, "8")
				return answer, err
			}
			c, s := scripted(t, reply("7", "3", stored), late, silence, reply("9", "3", stored))
			if err := register(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Register(t.Context(), Registration{Key: key}, test.write); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range s.requests()[1:] {
				got = append(got, r.msg.Header.Get(bus.HeaderKnown))
				if again := r.msg.Header.Get(bus.HeaderRepeat); len(got) == 3 && again != "8" && test.want[0] != "" {
					t.Errorf("%s: repeated with %q; want what was known at the sending in doubt", name, again)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

func TestAConflictNamesItsKeyAndRevision(t *testing.T) {
	t.Parallel()
	c, _ := scripted(t, fails(&bus.Error{Code: bus.CodeConflict, Message: "it is at 9", Revision: new(Revision(9))}))
	_, _, err := c.Update(t.Context(), key, Change{}, Write{If: IfRevision(5)})
	var conflict *backend.ConflictError
	if !errors.As(err, &conflict) || conflict.Key != key || conflict.Revision != 9 {
		t.Errorf("got %v with %+v; want a conflict about %s at 9", err, conflict, key)
	}
	var wire *bus.Error
	if !errors.As(err, &wire) {
		t.Errorf("%v is no *bus.Error", err)
	}
}

func TestAnOwnerWithoutALeaseHereIsALeaseExpired(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", stored))
	_, _, err := c.Unregister(t.Context(), key, Write{Owner: "somebody"})
	wantErr(t, err, ErrLeaseExpired)
	if n := len(s.requests()); n != 0 {
		t.Errorf("sent %d requests", n)
	}
}

func TestAForcedUnregisterIsTheOperators(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", `{"removed":true,"revision":7}`))
	removal, _, err := c.Unregister(t.Context(), key, Write{Force: true, Reason: "broken"})
	if err != nil || removal != (Removal{Removed: true, Revision: 7}) {
		t.Errorf("got %+v, %v", removal, err)
	}
	m := s.requests()[0].msg
	if m.Subject != "roost.v1.admin.unregister.default.payments.i-1" || string(m.Data) != `{"reason":"broken"}` {
		t.Errorf("sent %s on %s", m.Data, m.Subject)
	}
	_, _, err = c.Register(t.Context(), Registration{Key: key}, Write{Force: true})
	wantErr(t, err, ErrInvalid)
}

func TestAReplyThatCannotBeReadLeavesAWriteUnknown(t *testing.T) {
	t.Parallel()
	c, _ := scripted(t, reply("7", "1", `[]`))
	wantUnknown(t, register(t.Context(), c))
	_, _, err := c.Unregister(t.Context(), key, Write{})
	wantUnknown(t, err)
}

func TestABatchGoesByNamespaceAndKeepsItsOrder(t *testing.T) {
	t.Parallel()
	c, s := scripted(t,
		reply("8", "1", `{"results":[{"revision":7},{"code":"conflict","message":"m","revision":4}]}`),
		reply("9", "1", `{"results":[{"removed":true,"revision":9}]}`))
	other := Key{Namespace: "other", Service: "s"}
	results, stamp, err := c.Batch(t.Context(), []Operation{
		{Kind: OpRegister, Registration: Registration{Key: key}},
		{Kind: OpUnregister, Registration: Registration{Key: other}},
		{Kind: OpUpdate, Registration: Registration{Key: key}, Write: Write{If: IfRevision(3)}},
		{Kind: OpUpdate, Registration: Registration{Key: Key{Namespace: "default"}}},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, sent := range s.requests() {
		subjects = append(subjects, sent.msg.Subject)
	}
	if diff := cmp.Diff([]string{"roost.v1.registry.batch.default", "roost.v1.registry.batch.other"}, subjects); diff != "" {
		t.Error(diff)
	}
	if stamp.Revision != 9 || results[0].Revision() != 7 || results[1].Removal != (Removal{Removed: true, Revision: 9}) {
		t.Errorf("got %+v at %+v", results, stamp)
	}
	var conflict *backend.ConflictError
	if !errors.As(results[2].Err, &conflict) || conflict.Revision != 4 || conflict.Key != key {
		t.Errorf("got %v; want a conflict at 4", results[2].Err)
	}
	wantErr(t, results[3].Err, ErrInvalid)
}

func TestABatchTooLargeForAMessageIsSentInParts(t *testing.T) {
	t.Parallel()
	body := func(n int) string {
		return `{"results":[` + strings.TrimSuffix(strings.Repeat(`{"revision":7},`, n), ",") + `]}`
	}
	var operations []Operation
	for i := range 40 { // of some 50 KB each
		operations = append(operations, Operation{Kind: OpRegister, Registration: Registration{
			Key:      Key{Namespace: "default", Service: "s", Instance: fmt.Sprint(i)},
			Metadata: Metadata(`{"a":"` + strings.Repeat("x", 50_000) + `"}`),
		}})
	}
	c, s := scripted(t, reply("7", "1", body(20)), reply("8", "1", body(20)))
	if _, _, err := c.Batch(t.Context(), operations, false); err != nil {
		t.Fatal(err)
	}
	for _, sent := range s.requests() {
		if n := len(sent.msg.Data); int64(n) > s.MaxPayload() {
			t.Errorf("a part is %d bytes long", n)
		}
	}
	_, _, err := c.Batch(t.Context(), []Operation{
		{Kind: OpUnregister, Registration: Registration{Key: key}},
		{Kind: OpUnregister, Registration: Registration{Key: Key{Namespace: "other", Service: "s"}}},
	}, true)
	wantErr(t, err, backend.ErrNotAtomic)
}

func TestAPartThatFailsStopsThoseBehindIt(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", `{"results":[{"revision":7}]}`), failure(bus.CodeInternal, "1"))
	operations := make([]Operation, 3)
	for i := range operations {
		operations[i] = Operation{Kind: OpUnregister, Registration: Registration{Key: Key{Namespace: fmt.Sprint(i), Service: "s"}}}
	}
	results, _, err := c.Batch(t.Context(), operations, false)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.requests()); n != 2 {
		t.Errorf("sent %d parts; want 2", n)
	}
	if results[0].Err != nil {
		t.Errorf("the part that was done: %v", results[0].Err)
	}
	wantUnknown(t, results[1].Err)
	wantErr(t, results[2].Err, ErrUnavailable)
}

func TestInARepeatedBatchNoFailureIsCertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, silence, reply("8", "1", `{"results":[{"revision":7},{"code":"conflict","message":"m"}]}`))
		results, _, err := c.Batch(t.Context(), []Operation{
			{Kind: OpRegister, Registration: Registration{Key: key}},
			{Kind: OpUnregister, Registration: Registration{Key: Key{Namespace: "default", Service: "s"}}},
		}, false)
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Err != nil {
			t.Errorf("got %v", results[0].Err)
		}
		wantUnknown(t, results[1].Err)
	})
}

func TestABatchDoneInPartIsSentAgainAndKeepsWhatIsDefinite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t,
			reply("7", "1", `{"results":[{"revision":7},{"code":"unavailable","message":"m"},{"code":"unknown_outcome","message":"m"},{"code":"not_found","message":"m"}]}`),
			reply("9", "1", `{"results":[{"code":"conflict","message":"m"},{"revision":8},{"code":"conflict","message":"m"},{"revision":9}]}`))
		operations := make([]Operation, 4)
		for i := range operations {
			operations[i] = Operation{Kind: OpUpdate, Registration: Registration{Key: Key{Namespace: "default", Service: fmt.Sprint(i)}}}
		}
		results, stamp, err := c.Batch(t.Context(), operations, false)
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Revision() != 7 || results[1].Revision() != 8 || stamp.Revision != 9 {
			t.Errorf("got %+v and %+v at %d; want what was done at 7 and at 8", results[0], results[1], stamp.Revision)
		}
		wantUnknown(t, results[2].Err)
		wantErr(t, results[3].Err, ErrNotFound)
		first, second := s.requests()[0].msg, s.requests()[1].msg
		if first.Header.Get(bus.HeaderRequestID) != second.Header.Get(bus.HeaderRequestID) || second.Header.Get(bus.HeaderRepeat) == "" {
			t.Error("the second sending is no repeat of the first")
		}
	})
}

func TestABatchThatStaysUnfinishedSaysSoOfEachOperation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, reply("7", "1", `{"results":[{"revision":7},{"code":"unknown_outcome","message":"m"}]}`))
		results, _, err := c.Batch(t.Context(), []Operation{
			{Kind: OpUnregister, Registration: Registration{Key: key}},
			{Kind: OpUnregister, Registration: Registration{Key: Key{Namespace: "default", Service: "s"}}},
		}, false)
		if err != nil || results[0].Err != nil {
			t.Fatalf("got %v, %v", results, err)
		}
		wantUnknown(t, results[1].Err)
	})
}
