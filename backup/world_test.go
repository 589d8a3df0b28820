package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/backup"
	"github.com/roostbus/roost/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office keeps the values of marks, of which the higher ones count, and an epoch.
type office struct {
	mu    sync.Mutex
	epoch backend.Epoch
	marks map[bus.Kind]map[string]int
	inUse map[string]bool
	asked int // how often something was to be changed
}

func newOffice() *office {
	return &office{epoch: 1, marks: map[bus.Kind]map[string]int{}, inUse: map[string]bool{}}
}

func (o *office) set(kind bus.Kind, name string, value int) *office {
	if o.marks[kind] == nil {
		o.marks[kind] = map[string]int{}
	}
	o.marks[kind][name] = value
	return o
}

// Marks shows two at a time.
func (o *office) Marks(_ context.Context, kind bus.Kind, after string, read backend.Read) (*bus.MarksReply, backend.Stamp, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	reply := &bus.MarksReply{}
	for _, name := range slices.Sorted(maps.Keys(o.marks[kind])) {
		if name <= after {
			continue
		}
		if len(reply.Marks) == 2 {
			reply.Next = reply.Marks[1].Name
			break
		}
		reply.Marks = append(reply.Marks, bus.Mark{Namespace: "n", Name: name, Record: fmt.Appendf(nil, `{"term":%d}`, o.marks[kind][name])})
	}
	return reply, backend.Stamp{Epoch: read.Epoch}, nil
}

func (o *office) RestoreMarks(_ context.Context, kind bus.Kind, marks []bus.Mark, dry bool) ([]bus.RestoreResult, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var results []bus.RestoreResult
	for _, m := range marks {
		var kept struct{ Term int }
		if err := json.Unmarshal(m.Record, &kept); err != nil {
			return nil, err
		}
		switch {
		case kept.Term <= o.marks[kind][m.Name]:
			results = append(results, bus.RestoreResult{State: bus.StateUnchanged})
			continue
		case o.inUse[m.Name]:
			results = append(results, bus.RestoreResult{State: bus.StateInUse})
			continue
		}
		results = append(results, bus.RestoreResult{State: bus.StateRestored})
		if !dry {
			o.asked++
			o.set(kind, m.Name, kept.Term)
		}
	}
	return results, nil
}

func (o *office) RaiseEpoch(_ context.Context, above backend.Epoch) (backend.Epoch, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	o.epoch = max(o.epoch, above+1)
	return o.epoch, nil
}

func key(service, instance string) backend.Key {
	return backend.Key{Namespace: "default", Service: service, Instance: instance}
}

// register registers permanently, with a number in the metadata.
func register(t *testing.T, b backend.Backend, k backend.Key, n int) backend.Registration {
	t.Helper()
	r, _, err := b.Register(t.Context(), numbered(t, k, n), backend.Write{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func numbered(t *testing.T, k backend.Key, n int) backend.Registration {
	t.Helper()
	metadata, err := backend.ParseMetadata(fmt.Appendf(nil, `{"n":%d}`, n))
	if err != nil {
		t.Error(err)
	}
	return backend.Registration{
		Key: k, Metadata: metadata, Weight: 50, Status: backend.Draining,
		Endpoints: backend.EndpointsOf(map[string]string{"http": "http://10.0.0.1:80"}),
	}
}

func newRegistry(t *testing.T) *memory.Backend {
	t.Helper()
	b := memory.New(everybody{})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// everybody lives.
type everybody struct{}

func (everybody) Lives(string) bool                             { return true }
func (everybody) Confirm(context.Context, string) (bool, error) { return true, nil }
func (everybody) OnEnd(func(backend.Ending)) func()             { return func() {} }

func export(t *testing.T, b backend.Backend, o *office) (backup.Header, []byte) {
	t.Helper()
	var out bytes.Buffer
	h, err := backup.Export(t.Context(), b, o, &out, backup.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return h, out.Bytes()
}

func open(t *testing.T, text []byte) *backup.File {
	t.Helper()
	f, err := backup.Open(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// all returns what b holds, without revisions and times.
func all(t *testing.T, b backend.Backend) (found []backend.Registration) {
	t.Helper()
	for r, err := range backend.All(t.Context(), b, backend.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, plain(*r))
	}
	return found
}

func plain(r backend.Registration) backend.Registration {
	return backend.Registration{Key: r.Key, Endpoints: r.Endpoints, Metadata: r.Metadata, Weight: r.Weight, Status: r.Status, Owner: r.Owner}
}
