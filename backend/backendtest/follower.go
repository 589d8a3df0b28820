package backendtest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
)

// follower keeps a copy of what a query selects by lists alone, as the protocol says.
type follower struct {
	query backend.Query
	at    backend.Stamp // of the last complete list; zero: none yet
	held  map[backend.Key]string
	seen  map[backend.Key]backend.Revision // last applied to a key

	next  string        // of the pages under way; "" if none is
	under backend.Stamp // of the first of them
	whole map[backend.Key]bool
}

func newFollower(q backend.Query) *follower {
	return &follower{query: q, held: map[backend.Key]string{}, seen: map[backend.Key]backend.Revision{}}
}

// step asks for one page of at most limit entries and takes it in. It reports whether
// that was the last of its list.
func (f *follower) step(ctx context.Context, b backend.Backend, limit int, read backend.Read) (complete bool, err error) {
	q := f.query
	q.Limit, q.After, q.Read = limit, f.next, read
	if since := f.at.Revision; since != 0 {
		q.Since, q.Epoch = &since, f.at.Epoch
	}
	page, stamp, err := b.List(ctx, q)
	if err != nil {
		return false, err
	}
	if f.next == "" {
		f.under, f.whole = stamp, map[backend.Key]bool{}
	}
	for _, r := range page.Registrations {
		f.whole[r.Key] = true
		if r.Revision > f.seen[r.Key] {
			f.seen[r.Key], f.held[r.Key] = r.Revision, text(*r)
		}
	}
	for _, r := range page.Removed {
		if r.Revision > f.seen[r.Key] {
			f.seen[r.Key] = r.Revision
			delete(f.held, r.Key)
		}
	}
	if f.next = page.Next; f.next != "" {
		return false, nil
	}
	if q.Since == nil {
		for key := range f.held {
			if !f.whole[key] && f.seen[key] <= f.under.Revision {
				delete(f.held, key)
			}
		}
	}
	f.at = f.under
	return true, nil
}

// complete takes in all pages of a list, and at least one.
func (f *follower) complete(ctx context.Context, b backend.Backend, limit int, read backend.Read) error {
	for {
		if whole, err := f.step(ctx, b, limit, read); whole || err != nil {
			return err
		}
	}
}

// differs says how what f holds differs from what a list of everything shows.
func (f *follower) differs(ctx context.Context, b backend.Backend) (string, error) {
	q := f.query
	q.Read = linearizable
	want := map[backend.Key]string{}
	for r, err := range backend.All(ctx, b, q) {
		if err != nil {
			return "", err
		}
		want[r.Key] = text(*r)
	}
	return cmp.Diff(want, f.held), nil
}

// poll has f take in one complete list.
func (s subject) poll(t *testing.T, f *follower, limit int) {
	t.Helper()
	if err := f.complete(patient(t), s.Backend, limit, backend.Read{}); err != nil {
		t.Fatalf("List(%s since %d): %v", f.query.Scope, f.at.Revision, err)
	}
}

// exact checks that f, after one more list, holds exactly what there is. Nobody writes
// meanwhile.
func (s subject) exact(t *testing.T, f *follower, limit int) {
	t.Helper()
	if err := f.complete(patient(t), s.Backend, limit, linearizable); err != nil {
		t.Fatalf("List(%s since %d): %v", f.query.Scope, f.at.Revision, err)
	}
	diff, err := f.differs(patient(t), s.Backend)
	if err != nil || diff != "" {
		t.Errorf("what a follower of %s holds, %v (-there +held):\n%s", f.query.Scope, err, diff)
	}
}
