package backendtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/roostbus/roost/backend"
)

var watchClauses = []clause{
	{name: "AWatchTellsEveryChangeInOrder", check: watchTells},
	{name: "AWatchGoesOnWhereARevisionSays", check: watchSince},
	{name: "AWatchSinceZeroBeginsNow", check: watchFromNow},
	{name: "AWatchKeepsToItsScope", check: watchScope},
	{name: "AWatchThatIsSlowEndsUpWithTheNewestState", check: watchConverges},
	{name: "AWatchSinceARevisionOfAnotherEpochIsErrCompacted", check: watchAnotherEpoch},
	{name: "AWatchCanBeLeftEarly", check: watchStopsEarly},
	{name: "AWatchEndsWithItsContext", check: watchEndsWithContext},
	{name: "ManyWatchersSeeTheSame", check: manyWatchers},
}

func watchTells(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)

	r, _ := s.register(t, described("payments", "i-1", `{"n":9007199254740993}`), backend.Write{Reason: s.reason("start")})
	w.gives(t, backend.Event{Kind: backend.Registered, Reason: s.reason("start"), Registration: &r, Revision: r.Revision})

	u, _ := s.update(t, r.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
	w.gives(t, backend.Event{Kind: backend.Updated, Registration: &u, Revision: u.Revision, Previous: r.Revision})

	v, _ := s.register(t, described("payments", "i-1", `{"n":2}`), backend.Write{Reason: s.reason("again")})
	w.gives(t, backend.Event{Kind: backend.Updated, Reason: s.reason("again"), Registration: &v, Revision: v.Revision, Previous: u.Revision})

	removal, _ := s.unregister(t, r.Key, backend.Write{Reason: "bye"})
	w.gives(t, backend.Event{Kind: backend.Unregistered, Reason: "bye", Registration: &v, Revision: removal.Revision, Previous: v.Revision})

	again, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	w.gives(t, backend.Event{Kind: backend.Registered, Registration: &again, Revision: again.Revision, Previous: removal.Revision})

	// What writes nothing says nothing.
	s.register(t, instance("payments", "i-1"), backend.Write{})
	s.update(t, r.Key, backend.Change{}, backend.Write{Reason: s.reason("nothing")})
	if _, _, err := s.Unregister(patient(t), instance("payments", "never").Key, backend.Write{}); err != nil {
		t.Error(err)
	}
	s.quiet(t, w)
}

// R7, as far as one backend goes: nothing between since and now is skipped unsaid.
func watchSince(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "before"), backend.Write{})
	a, _ := s.register(t, instance("payments", "a"), backend.Write{})
	b, _ := s.register(t, instance("payments", "b"), backend.Write{})
	removal, _ := s.unregister(t, b.Key, backend.Write{})
	c, last := s.register(t, instance("payments", "c"), backend.Write{})
	want := map[backend.Key]backend.Revision{a.Key: a.Revision, b.Key: removal.Revision, c.Key: c.Revision}

	w := s.watch(t, backend.Query{Scope: scope("payments"), Read: backend.Read{Epoch: stamp.Epoch}}, stamp.Revision)
	newest := stamp.Revision
	told := map[backend.Revision]bool{}
	gap := false
	for newest < last.Revision {
		e := w.next(t)
		if e.Kind == backend.Gap {
			gap = true
			continue
		}
		if e.Revision <= newest {
			t.Fatalf("event %s after revision %d", show(e), newest)
		}
		newest = e.Revision
		told[newest] = true
	}
	for key, revision := range want {
		if !told[revision] {
			t.Errorf("the newest change of %s, at %d, was not told", key, revision)
		}
	}
	if !gap && !told[b.Revision] {
		t.Errorf("the change at %d was left out without a gap", b.Revision)
	}

	w = s.watch(t, backend.Query{Scope: scope("payments"), Read: backend.Read{Epoch: stamp.Epoch}}, last.Revision)
	s.quiet(t, w)
}

func watchFromNow(t *testing.T, s subject) {
	old, stamp := s.register(t, instance("payments", "old"), backend.Write{})
	s.lookup(t, old.Key, seen(stamp))
	w := s.watch(t, backend.Query{Scope: scope("payments")}, 0)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { // nobody says when a watch has begun, so there are changes until it has
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			r := instance("payments", "new")
			r.Weight = uint16(i)
			if _, _, err := s.Register(t.Context(), r, backend.Write{}); err != nil {
				stopped <- err
				return
			}
		}
	}()
	e := w.next(t)
	if e.Kind == backend.Gap {
		e = w.next(t)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if e.Revision <= stamp.Revision || e.Registration == nil || e.Registration.Instance != "new" {
		t.Errorf("event %s; want one of what came after revision %d", show(e), stamp.Revision)
	}
}

func watchScope(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	everything := s.watch(t, backend.Query{}, stamp.Revision)
	namespace := s.watch(t, backend.Query{Scope: backend.Scope{Namespace: "default"}}, stamp.Revision)
	service := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)

	outside := instance("payments", "x")
	outside.Namespace = "other"
	a, _ := s.register(t, outside, backend.Write{})
	b, _ := s.register(t, instance("orders", "y"), backend.Write{})
	c, _ := s.register(t, instance("payments", "z"), backend.Write{})
	for name, sees := range map[string]struct {
		by   *watcher
		want []backend.Registration
	}{
		"everything": {everything, []backend.Registration{a, b, c}},
		"namespace":  {namespace, []backend.Registration{b, c}},
		"service":    {service, []backend.Registration{c}},
	} {
		for _, r := range sees.want {
			if e := sees.by.next(t); e.Registration == nil || e.Registration.Key != r.Key || e.Revision != r.Revision {
				t.Errorf("the watch of %s gives %s; want %s", name, show(e), text(r))
			}
		}
	}
}

func watchConverges(t *testing.T, s subject) {
	const changes = 300
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	var last backend.Registration
	for i := range changes {
		last, _ = s.update(t, r.Key, backend.Change{Weight: address(uint16(1000 + i))}, backend.Write{})
	}
	newest, gap := r.Revision, false
	for newest < last.Revision {
		e := w.next(t)
		if e.Kind == backend.Gap {
			gap = true
			continue
		}
		if e.Revision <= newest {
			t.Fatalf("event %s after revision %d", show(e), newest)
		}
		if e.Previous != newest && !gap {
			t.Fatalf("event %s after revision %d, and no gap between", show(e), newest)
		}
		newest, gap = e.Revision, false
		if newest == last.Revision {
			same(t, *e.Registration, last)
		}
	}
}

func watchAnotherEpoch(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	w := s.watch(t, backend.Query{Read: backend.Read{Epoch: stamp.Epoch + 1}}, stamp.Revision)
	fails(t, "Watch", w.wait(t), backend.ErrCompacted)
}

func watchStopsEarly(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	changes := s.Watch(patient(t), backend.Query{Scope: scope("payments")}, stamp.Revision)
	for i := range 3 {
		_, _ = s.register(t, instance("payments", fmt.Sprint(i)), backend.Write{})
	}
	n := 0
	for _, err := range changes {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	s.register(t, instance("payments", "after"), backend.Write{}) // nobody is in the way
	if n != 2 {
		t.Errorf("left after %d events; want 2", n)
	}
}

func watchEndsWithContext(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	w := s.watch(t, backend.Query{}, stamp.Revision)
	s.register(t, instance("payments", "i-1"), backend.Write{})
	w.next(t)
	w.cancel()
	if err := w.wait(t); err != nil {
		fails(t, "Watch", err, backend.ErrUnavailable)
		fails(t, "Watch", err, context.Canceled)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for e, err := range s.Watch(ctx, backend.Query{}, stamp.Revision) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Watch whose context is done yields %s, %v", show(e), err)
		}
	}
}

func manyWatchers(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	watchers := make([]*watcher, 20)
	for i := range watchers {
		watchers[i] = s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	}
	for i := range 3 {
		r, _ := s.register(t, instance("payments", fmt.Sprint(i)), backend.Write{})
		for _, w := range watchers {
			w.gives(t, backend.Event{Kind: backend.Registered, Registration: &r, Revision: r.Revision})
		}
	}
}
