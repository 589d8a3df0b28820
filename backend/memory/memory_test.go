package memory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/backend/view"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		b := memory.New(live)
		t.Cleanup(func() { _ = b.Close() })
		return b
	})
}

// R7.
func TestFollowersOfMemoryEndExact(t *testing.T) {
	t.Parallel()
	backendtest.RunFollowers(t, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		b := memory.New(live)
		t.Cleanup(func() { _ = b.Close() })
		return b
	})
}

func TestAListSinceARevisionThatIsForgottenIsErrCompacted(t *testing.T) {
	t.Parallel()
	b := memory.New(backend.Nobody, memory.WithView(view.WithMemory(time.Hour, 1)))
	defer b.Close()
	var at []backend.Revision
	for i := range 3 {
		r := instance(i)
		for _, write := range []func() (backend.Stamp, error){
			func() (backend.Stamp, error) { _, s, err := b.Register(t.Context(), r, backend.Write{}); return s, err },
			func() (backend.Stamp, error) {
				_, s, err := b.Unregister(t.Context(), r.Key, backend.Write{})
				return s, err
			},
		} {
			stamp, err := write()
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, stamp.Revision)
		}
	}
	for i, since := range append([]backend.Revision{0}, at...) {
		page, _, err := b.List(t.Context(), backend.Query{Since: &since})
		switch {
		case i < 4 && !errors.Is(err, backend.ErrCompacted): // the removal of the second is forgotten
			t.Errorf("since %d = %+v, %v; want ErrCompacted", since, page, err)
		case i >= 4 && (err != nil || len(page.Registrations) != 0 || len(page.Removed) != (6-i+1)/2):
			t.Errorf("since %d = %+v, %v; want what is remembered", since, page, err)
		}
	}
}
