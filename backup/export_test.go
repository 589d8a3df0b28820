package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backup"
	"github.com/roostbus/roost/bus"
)

// registrationsOf reads the lines of a file as anybody might.
func registrationsOf(t *testing.T, text []byte) (found []backend.Registration) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var l struct {
			Registration *backend.Registration `json:"registration"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Registration != nil {
			found = append(found, *l.Registration)
		}
	}
	return found
}

func TestAFileHoldsEveryRegistrationAndMarkAndSaysHowMany(t *testing.T) {
	t.Parallel()
	b, o := newRegistry(t), newOffice()
	for i := range 5 {
		register(t, b, key("a b", fmt.Sprint(i)), i)
	}
	if _, _, err := b.Register(t.Context(), numbered(t, key("leased", "1"), 1), backend.Write{Owner: "somebody"}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		o.set(bus.KindElection, fmt.Sprint("e", i), i+1)
	}
	o.set(bus.KindCounter, "c", 3)
	h, text := export(t, b, o)
	if h.Registrations != 6 || h.Permanent != 5 || h.Marks[bus.KindElection] != 5 || h.Marks[bus.KindCounter] != 1 {
		t.Errorf("header %+v; want 6 registrations, 5 permanent, 5 elections and a counter", h)
	}
	var plainly []backend.Registration
	for _, r := range registrationsOf(t, text) {
		plainly = append(plainly, plain(r))
	}
	if diff := cmp.Diff(all(t, b), plainly); diff != "" {
		t.Errorf("the file differs from the registry (-registry +file):\n%s", diff)
	}
	if n := bytes.Count(text, []byte(`{"mark":`)); n != 6 {
		t.Errorf("the file has %d marks; want 6", n)
	}
	if f := open(t, text); !cmp.Equal(f.Header, h) {
		t.Errorf("read back %+v; want %+v", f.Header, h)
	}
}

func TestAFileIsExactlyOneRevisionWhileTheRegistryChanges(t *testing.T) {
	t.Parallel()
	const keys, rounds = 40, 12
	b := newRegistry(t)
	// Both ends of the order of keys say the same number at every revision.
	move := func(pair, n int) {
		operations := []backend.Operation{
			{Kind: backend.OpRegister, Registration: numbered(t, key("a", fmt.Sprint(pair)), n)},
			{Kind: backend.OpRegister, Registration: numbered(t, key("z", fmt.Sprint(pair)), n)},
		}
		if n%3 == 2 {
			operations[0].Kind, operations[1].Kind = backend.OpUnregister, backend.OpUnregister
		}
		if _, _, err := backend.Batch(context.WithoutCancel(t.Context()), b, operations, true); err != nil {
			t.Error(err)
		}
	}
	for i := range keys {
		move(i, 0)
	}
	one := &paged{Backend: b, turn: func(page int) {
		for i := range 5 {
			move((page*7+i)%keys, page)
		}
	}}
	for range rounds {
		one.pages = 0
		var out bytes.Buffer
		h, err := backup.Export(t.Context(), one, newOffice(), &out, backup.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, r := range registrationsOf(t, out.Bytes()) {
			if r.Revision > h.Revision {
				t.Errorf("%s is of revision %d, after the file's %d", r.Key, r.Revision, h.Revision)
			}
			found[r.Service+r.Instance] = r.Metadata.String()
		}
		for i := range keys {
			if a, z := found[fmt.Sprint("a", i)], found[fmt.Sprint("z", i)]; a != z {
				t.Errorf("pair %d is %q and %q; at no revision it was", i, a, z)
			}
		}
	}
}

// paged is a Backend whose pages are small, and that changes between them for a while.
type paged struct {
	backend.Backend
	turn  func(page int)
	pages int
}

func (p *paged) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	q.Limit = 8
	page, stamp, err := p.Backend.List(ctx, q)
	if p.pages++; p.pages < 30 {
		p.turn(p.pages)
	}
	return page, stamp, err
}

func TestARegistryThatChangesFasterThanItCanBeReadIsUnavailable(t *testing.T) {
	t.Parallel()
	b := newRegistry(t)
	never := &restless{paged: paged{Backend: b}}
	n := 0
	never.turn = func(int) {
		n++
		for i := range 9 {
			register(t, b, key("a", fmt.Sprint(i)), n)
		}
	}
	never.turn(0)
	var out bytes.Buffer
	_, err := backup.Export(t.Context(), never, newOffice(), &out, backup.Options{Dir: t.TempDir()})
	if !errors.Is(err, backend.ErrUnavailable) || out.Len() != 0 {
		t.Errorf("Export = %v after %d bytes; want ErrUnavailable and nothing written", err, out.Len())
	}
	_, err = backup.Export(t.Context(), never, newOffice(), &out, backup.Options{Dir: t.TempDir(), MaxChanges: 5})
	if !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "5 keys") {
		t.Errorf("Export = %v; want ErrUnavailable that names the bound", err)
	}
}

// restless is paged that never stops.
type restless struct{ paged }

func (r *restless) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	r.pages = 0
	return r.paged.List(ctx, q)
}

func TestProgressEndsAtTheWhole(t *testing.T) {
	t.Parallel()
	b := newRegistry(t)
	for i := range 20 {
		register(t, b, key("a", fmt.Sprint(i)), i)
	}
	var mu sync.Mutex
	var last string
	_, err := backup.Export(t.Context(), &paged{Backend: b, pages: 100}, newOffice(), &bytes.Buffer{}, backup.Options{
		Dir: t.TempDir(),
		Progress: func(done, total int) {
			mu.Lock()
			defer mu.Unlock()
			last = fmt.Sprint(done, " of ", total)
		},
	})
	if err != nil || last != "20 of 20" {
		t.Errorf("%v, progress ended at %q; want 20 of 20", err, last)
	}
}
