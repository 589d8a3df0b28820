package backendtest

import (
	"testing"

	"github.com/roostbus/roost/backend"
)

var healthClauses = []clause{
	{name: "HealthCountsWhatIsThere", check: healthCounts},
}

// foundation: "health when empty", "health counts", "stats".
func healthCounts(t *testing.T, s subject) {
	health := func(registrations, services int, reached backend.Stamp) {
		t.Helper()
		if _, _, err := s.List(patient(t), backend.Query{Limit: 1, Read: linearizable}); err != nil {
			t.Fatal(err) // whoever answered has seen everything now
		}
		h, err := s.Health(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if h.Status != backend.Healthy || h.Backend == "" || len(h.Problems) != 0 {
			t.Errorf("Health = %+v; want a healthy backend with a name", h)
		}
		if h.Registrations != registrations || h.Services != services {
			t.Errorf("Health counts %d registrations of %d services; want %d of %d", h.Registrations, h.Services, registrations, services)
		}
		if h.Stamp.Revision < reached.Revision || h.Stamp.Epoch == 0 {
			t.Errorf("Health is stamped %+v; want at least %+v", h.Stamp, reached)
		}
	}
	health(0, 0, backend.Stamp{})
	s.register(t, instance("payments", "a"), backend.Write{})
	s.register(t, instance("payments", "b"), backend.Write{})
	_, stamp := s.register(t, instance("orders", "a"), backend.Write{})
	health(3, 2, stamp)
	_, stamp = s.unregister(t, instance("orders", "a").Key, backend.Write{})
	health(2, 1, stamp)
	_, stamp = s.update(t, instance("payments", "a").Key, backend.Change{Status: address(backend.Down)}, backend.Write{})
	health(2, 1, stamp)
}
