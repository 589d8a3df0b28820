package backendtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
)

// patience is how long a clause waits for what must come.
const patience = 30 * time.Second

// patient returns a context that ends when waiting is no use any more.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// instance returns a registration to begin with.
func instance(service, name string) backend.Registration {
	return backend.Registration{
		Key:       backend.Key{Namespace: "default", Service: service, Instance: name},
		Endpoints: backend.EndpointsOf(map[string]string{"http": "http://" + service + ".example:80"}),
		Weight:    backend.DefaultWeight,
		Status:    backend.Up,
	}
}

// described returns instance(service, name) with metadata.
func described(service, name string, metadata backend.Metadata) backend.Registration {
	r := instance(service, name)
	r.Metadata = metadata
	return r
}

// scope returns the scope of a service of instance's.
func scope(service string) backend.Scope {
	return backend.Scope{Namespace: "default", Service: service}
}

// operation returns the operation id called name.
func operation(name string) backend.OperationID { return sha256.Sum256([]byte(name)) }

// linearizable reads reflect everything acknowledged.
var linearizable = backend.Read{Consistency: backend.Linearizable}

// seen returns a read that reflects what has the stamp.
func seen(stamp backend.Stamp) backend.Read {
	return backend.Read{MinRevision: stamp.Revision, Epoch: stamp.Epoch}
}

// register registers what must be accepted.
func (s subject) register(t *testing.T, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp) {
	t.Helper()
	got, stamp, err := s.Register(patient(t), r, w)
	if err != nil {
		t.Fatalf("Register(%s) = %v; want nil", r.Key, err)
	}
	return got, stamp
}

// reason returns text if a reason can be given for what is not a removal.
func (s subject) reason(text string) string {
	if s.profile.NoReasons {
		return ""
	}
	return text
}

// update updates what must be there.
func (s subject) update(t *testing.T, key backend.Key, c backend.Change, w backend.Write) (backend.Registration, backend.Stamp) {
	t.Helper()
	got, stamp, err := s.Update(patient(t), key, c, w)
	if err != nil {
		t.Fatalf("Update(%s) = %v; want nil", key, err)
	}
	return got, stamp
}

// unregister removes what must be there.
func (s subject) unregister(t *testing.T, key backend.Key, w backend.Write) (backend.Removal, backend.Stamp) {
	t.Helper()
	got, stamp, err := s.Unregister(patient(t), key, w)
	if err != nil || !got.Removed {
		t.Fatalf("Unregister(%s) = %+v, %v; want it removed", key, got, err)
	}
	return got, stamp
}

// lookup looks up what must be there.
func (s subject) lookup(t *testing.T, key backend.Key, read backend.Read) backend.Registration {
	t.Helper()
	got, _, err := s.Lookup(patient(t), key, read)
	if err != nil {
		t.Fatalf("Lookup(%s) = %v; want it found", key, err)
	}
	return got
}

// absent checks that key cannot be found by any read.
func (s subject) absent(t *testing.T, key backend.Key, read backend.Read) {
	t.Helper()
	got, _, err := s.Lookup(patient(t), key, read)
	if !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Lookup(%s) = %s, %v; want ErrNotFound", key, text(got), err)
	}
	q := backend.Query{Scope: backend.Scope{Namespace: key.Namespace, Service: key.Service}, Read: read}
	for _, r := range s.list(t, q) {
		if r.Key == key {
			t.Errorf("the list has %s", text(*r))
		}
	}
}

// list returns all that q selects.
func (s subject) list(t *testing.T, q backend.Query) []*backend.Registration {
	t.Helper()
	var all []*backend.Registration
	for r, err := range backend.All(patient(t), s.Backend, q) {
		if err != nil {
			t.Fatalf("List(%+v) = %v; want nil", q, err)
		}
		all = append(all, r)
	}
	return all
}

// selects checks which instances q selects, by their names in the order of keys.
func (s subject) selects(t *testing.T, q backend.Query, want ...string) {
	t.Helper()
	if got := instances(s.list(t, q)); !slices.Equal(got, want) {
		t.Errorf("List(%s where %v filter %q status %v) = %q; want %q", q.Scope, q.Where, q.Filter, q.Status, got, want)
	}
	n, _, err := backend.Count(patient(t), s.Backend, q)
	if err != nil || n != len(want) {
		t.Errorf("Count(%s where %v filter %q status %v) = %d, %v; want %d", q.Scope, q.Where, q.Filter, q.Status, n, err, len(want))
	}
}

func instances(list []*backend.Registration) []string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.Instance
	}
	return names
}

// text writes r out, for comparing and showing.
func text(r backend.Registration) string { return string(r.AppendJSON(nil)) }

// same checks that got is want in every part.
func same(t *testing.T, got, want backend.Registration) {
	t.Helper()
	if text(got) != text(want) {
		t.Errorf("got  %s\nwant %s", text(got), text(want))
	}
}

// fails checks that err is sentinel.
func fails(t *testing.T, what string, err, sentinel error) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("%s = %v; want %v", what, err, sentinel)
	}
}

// invalid checks that err is an InvalidError about field.
func invalid(t *testing.T, what string, err error, field string) {
	t.Helper()
	var e *backend.InvalidError
	if !errors.As(err, &e) || !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("%s = %v; want an InvalidError about %s", what, err, field)
	} else if e.Field != field {
		t.Errorf("%s = %v, about %q; want it to be about %q", what, err, e.Field, field)
	}
}

// tooLarge checks that err is a TooLargeError with limit.
func tooLarge(t *testing.T, what string, err error, limit int64) {
	t.Helper()
	var e *backend.TooLargeError
	if !errors.As(err, &e) || !errors.Is(err, backend.ErrTooLarge) || e.Limit != limit {
		t.Errorf("%s = %v; want a TooLargeError with limit %d", what, err, limit)
	}
}

// conflicts checks that err is a ConflictError that carries the current revision.
func conflicts(t *testing.T, what string, err error, current backend.Revision) {
	t.Helper()
	var e *backend.ConflictError
	if !errors.As(err, &e) || !errors.Is(err, backend.ErrConflict) || e.Revision != current {
		t.Errorf("%s = %v; want a ConflictError with revision %d", what, err, current)
	}
}

// held checks that err is an ExistsError that carries the holder.
func held(t *testing.T, what string, err error, holder backend.Registration) {
	t.Helper()
	var e *backend.ExistsError
	if !errors.As(err, &e) || !errors.Is(err, backend.ErrExists) {
		t.Errorf("%s = %v; want an ExistsError", what, err)
		return
	}
	same(t, e.Holder, holder)
}

// owned checks that err is a NotOwnerError that names the owner.
func owned(t *testing.T, what string, err error, owner string) {
	t.Helper()
	var e *backend.NotOwnerError
	if !errors.As(err, &e) || !errors.Is(err, backend.ErrNotOwner) || e.Owner != owner {
		t.Errorf("%s = %v; want a NotOwnerError that names %q", what, err, owner)
	}
}

// address returns a pointer to a copy of v, for the fields of a Change.
func address[T any](v T) *T { return &v }
