package backendtest

import (
	"testing"

	"github.com/roostbus/roost/backend"
)

var repeatClauses = []clause{
	{name: "ARepeatedRegisterGetsTheSameAnswerAndMakesNoEvent", check: repeatRegister},
	{name: "ARepeatedUpdateGetsTheSameAnswerAndMakesNoEvent", check: repeatUpdate},
	{name: "ARepeatedUnregisterGetsTheSameAnswerAndMakesNoEvent", check: repeatUnregister},
	{name: "ARepeatOfWhatIsNotTheNewestIsANewRequest", check: repeatTooLate},
	{name: "ConcurrentRepeatsAreOneWrite", check: repeatConcurrently},
}

// quiet checks that nothing happened in w's scope before now. It leaves a marker behind.
func (s subject) quiet(t *testing.T, w *watcher) {
	t.Helper()
	marker, _ := s.register(t, instance("payments", "marker"), backend.Write{})
	if e := w.next(t); e.Registration == nil || e.Registration.Key != marker.Key {
		t.Errorf("event %s; want none before the marker", show(e))
	}
}

func repeatRegister(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	write := backend.Write{ID: operation("register"), If: backend.IfAbsent(), Epoch: stamp.Epoch}
	first, made := s.register(t, instance("payments", "i-1"), write)
	w.next(t)
	again, repeated := s.register(t, instance("payments", "i-1"), write)
	same(t, again, first)
	if repeated.Revision < made.Revision {
		t.Errorf("the repeat's stamp is %d; want at least %d", repeated.Revision, made.Revision)
	}
	write.ID = operation("another")
	_, _, err := s.Register(patient(t), instance("payments", "i-1"), write)
	conflicts(t, "the same under another id", err, first.Revision)
	s.quiet(t, w)
}

func repeatUpdate(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	write := backend.Write{ID: operation("update"), If: backend.IfRevision(r.Revision)}
	c := backend.Change{Weight: address[uint16](7)}
	first, _ := s.update(t, r.Key, c, write)
	w.next(t)
	again, _ := s.update(t, r.Key, c, write)
	same(t, again, first)
	write.ID = operation("another")
	_, _, err := s.Update(patient(t), r.Key, c, write)
	conflicts(t, "the same under another id", err, first.Revision)
	s.quiet(t, w)
}

func repeatUnregister(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	write := backend.Write{ID: operation("unregister"), If: backend.IfRevision(r.Revision)}
	first, _ := s.unregister(t, r.Key, write)
	w.next(t)
	again, _ := s.unregister(t, r.Key, write)
	if again != first {
		t.Errorf("the repeat is answered %+v; want %+v", again, first)
	}
	write.ID = operation("another")
	_, _, err := s.Unregister(patient(t), r.Key, write)
	conflicts(t, "the same under another id", err, 0)
	s.quiet(t, w)
}

func repeatTooLate(t *testing.T, s subject) {
	write := backend.Write{ID: operation("register")}
	first, _ := s.register(t, instance("payments", "i-1"), write)
	second, _ := s.update(t, first.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{ID: operation("update")})
	third, _ := s.register(t, instance("payments", "i-1"), write)
	if third.Revision <= second.Revision || third.Weight != first.Weight {
		t.Errorf("Register under an id that was used before another write = %s; want a new write", text(third))
	}
	removal, _ := s.unregister(t, first.Key, backend.Write{ID: operation("register")})
	if removal.Revision <= third.Revision {
		t.Errorf("Unregister under the id of the register = %+v; want a removal", removal)
	}
}

func repeatConcurrently(t *testing.T, s subject) {
	write := backend.Write{ID: operation("register"), If: backend.IfAbsent()}
	results, errs := contend(10, func(int) (backend.Registration, error) {
		got, _, err := s.Register(patient(t), instance("payments", "i-1"), write)
		return got, err
	})
	for i, err := range errs {
		if err != nil {
			t.Fatalf("repeat %d: %v", i, err)
		}
		same(t, results[i], results[0])
	}
}
