package backup_test

import (
	"bytes"
	"context"
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

// source is a registry with three permanent registrations, a leased one and marks.
func source(t *testing.T) (backend.Backend, *office) {
	t.Helper()
	b := newRegistry(t)
	for i := range 3 {
		register(t, b, key("a", fmt.Sprint(i)), i)
	}
	if _, _, err := b.Register(t.Context(), numbered(t, key("leased", "1"), 1), backend.Write{Owner: "somebody"}); err != nil {
		t.Fatal(err)
	}
	return b, newOffice().set(bus.KindElection, "e", 7).set(bus.KindCounter, "c", 3)
}

// bring imports f and fails the test where that fails.
func bring(t *testing.T, i backup.Import) (backup.Plan, backup.Done) {
	t.Helper()
	p, err := i.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := i.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return p, d
}

func TestWhatIsPermanentComesBackIntoAnEmptyRegistryAndTheEpochIsHigher(t *testing.T) {
	t.Parallel()
	b, o := source(t)
	h, text := export(t, b, o)
	to, office := newRegistry(t), newOffice()
	i := backup.Import{Registry: to, Office: office, File: open(t, text)}
	p, d := bring(t, i)
	if p.Create != 3 || p.Leased != 1 || !p.Raise || d.Created != 3 || d.Restored != 2 {
		t.Errorf("planned %+v, did %+v; want 3 created, 1 leased left out, 2 marks, a higher epoch", p, d)
	}
	if d.Epoch <= h.Epoch || office.epoch != d.Epoch {
		t.Errorf("epoch %d; want one above the file's %d", d.Epoch, h.Epoch)
	}
	if diff := cmp.Diff(all(t, b)[:3], all(t, to)); diff != "" {
		t.Errorf("the registry differs from the one that was saved (-saved +restored):\n%s", diff)
	}
	if diff := cmp.Diff(o.marks, office.marks); diff != "" {
		t.Errorf("marks (-saved +restored):\n%s", diff)
	}
}

func TestAnImportThatWasDoneDoesNothingWhenRepeated(t *testing.T) {
	t.Parallel()
	b, o := source(t)
	_, text := export(t, b, o)
	to, office := newRegistry(t), newOffice()
	i := backup.Import{Registry: to, Office: office, File: open(t, text)}
	bring(t, i)
	asked, revision := office.asked, stamp(t, to).Revision
	p, d := bring(t, i)
	if !p.Nothing() || p.Unchanged != 3 || d.Created != 0 || office.asked != asked || stamp(t, to).Revision != revision {
		t.Errorf("repeated: %+v, %+v; want nothing done", p, d)
	}
}

func stamp(t *testing.T, b backend.Backend) backend.Stamp {
	t.Helper()
	_, s, err := b.List(t.Context(), backend.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAPlanChangesNothing(t *testing.T) {
	t.Parallel()
	b, o := source(t)
	_, text := export(t, b, o)
	to, office := newRegistry(t), newOffice()
	if _, err := (backup.Import{Registry: to, Office: office, File: open(t, text)}).Plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if office.asked != 0 || len(all(t, to)) != 0 {
		t.Errorf("after a plan: asked %d times, %d registrations; want nothing changed", office.asked, len(all(t, to)))
	}
}

func TestARegistryThatIsNotEmptyIsMergedIntoOnlyWhereThatWasSaid(t *testing.T) {
	t.Parallel()
	b, o := source(t)
	_, text := export(t, b, o)
	to, office := newRegistry(t), newOffice()
	register(t, to, key("a", "1"), 99)  // not what the file says
	register(t, to, key("a", "2"), 2)   // what it says
	register(t, to, key("mine", ""), 1) // not in the file
	if _, _, err := to.Register(t.Context(), numbered(t, key("b", "1"), 1), backend.Write{Owner: "living"}); err != nil {
		t.Fatal(err)
	}
	office.set(bus.KindElection, "e", 2).inUse["e"] = true
	i := backup.Import{Registry: to, Office: office, File: open(t, text)}
	p, err := i.Plan(t.Context())
	if !errors.Is(err, backup.ErrNotEmpty) || p.Conflicts != 1 || p.Extra != 1 || p.Unchanged != 1 || p.Create != 1 {
		t.Fatalf("Plan = %+v, %v; want ErrNotEmpty with one conflict and one extra", p, err)
	}
	if want := []string{"default.a.1", "default.mine._"}; !cmp.Equal(p.Examples, want) {
		t.Errorf("examples %v; want %v", p.Examples, want)
	}
	i.Merge = true
	_, d := bring(t, i)
	if d.Created != 1 || d.Kept != 1 || d.InUse != 1 || d.Restored != 1 {
		t.Errorf("merged: %+v; want one created, one kept, a mark in use and one restored", d)
	}
	var got []string
	for _, r := range all(t, to) {
		got = append(got, r.Service+r.Instance+" "+r.Metadata.String())
	}
	want := []string{`a0 {"n":0}`, `a1 {"n":99}`, `a2 {"n":2}`, `b1 {"n":1}`, `mine {"n":1}`}
	if !cmp.Equal(got, want) {
		t.Errorf("the registry holds %v; want %v", got, want)
	}
}

// breaking is a Backend that fails after some batches.
type breaking struct {
	backend.Backend

	mu   sync.Mutex // one batch at a time
	left int
}

func (b *breaking) Batch(ctx context.Context, operations []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left--; b.left < 0 {
		return nil, backend.Stamp{}, fmt.Errorf("cut off: %w", backend.ErrUnknownOutcome)
	}
	return backend.Batch(ctx, b.Backend, operations, atomic)
}

func TestAnImportThatBrokeOffIsFinishedByAnother(t *testing.T) {
	t.Parallel()
	b := newRegistry(t)
	const many = 1700
	for i := range many {
		register(t, b, key("a", fmt.Sprintf("%04d", i)), i)
	}
	_, text := export(t, b, newOffice())
	to, office := newRegistry(t), newOffice()
	i := backup.Import{Registry: &breaking{Backend: to, left: 1}, Office: office, File: open(t, text)}
	p, err := i.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = i.Run(t.Context(), p); !errors.Is(err, backend.ErrUnknownOutcome) {
		t.Fatalf("Run = %v; want the error of the batch", err)
	}
	half := len(all(t, to))
	if half == 0 || half == many {
		t.Fatalf("broke off with %d of %d", half, many)
	}
	i.Registry = to
	if _, d := bring(t, i); d.Created != many-half {
		t.Errorf("the second run created %d; want %d", d.Created, many-half)
	}
	if diff := cmp.Diff(all(t, b), all(t, to)); diff != "" {
		t.Errorf("(-saved +restored):\n%s", diff)
	}
}

func TestAFileThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	b, o := source(t)
	_, text := export(t, b, o)
	lines := bytes.SplitAfter(text, []byte{'\n'})
	swapped := bytes.Join([][]byte{lines[0], lines[2], lines[1]}, nil)
	for _, row := range []struct {
		name string
		text []byte
		want error
	}{
		{"Empty", nil, backup.ErrDamaged},
		{"SomethingElse", []byte("hello\n"), backup.ErrDamaged},
		{"OtherJSON", []byte("{}\n"), backup.ErrDamaged},
		{"CutOffInALine", text[:len(text)/2], backup.ErrDamaged},
		{"CutOffBeforeTheEnd", bytes.Join(lines[:len(lines)-2], nil), backup.ErrDamaged},
		{"CutOffInTheLastByte", text[:len(text)-1], backup.ErrDamaged},
		{"ALineMissing", append(bytes.Join(lines[:2], nil), bytes.Join(lines[3:], nil)...), backup.ErrDamaged},
		{"LinesExchanged", append(swapped, bytes.Join(lines[3:], nil)...), backup.ErrDamaged},
		{"AByteChanged", bytes.Replace(text, []byte(`"n":2`), []byte(`"n":3`), 1), backup.ErrDamaged},
		{"SomethingBehindTheEnd", append(bytes.Clone(text), lines[1]...), backup.ErrDamaged},
		{"AnotherEpoch", bytes.Replace(text, []byte(`"epoch":`), []byte(`"epoch":1`), 1), backup.ErrDamaged},
		{"ANewerFormat", bytes.Replace(text, []byte(`"format":1`), []byte(`"format":2`), 1), backup.ErrNewer},
	} {
		if _, err := backup.Open(bytes.NewReader(row.text)); !errors.Is(err, row.want) {
			t.Errorf("%s: Open = %v; want %v", row.name, err, row.want)
		}
	}
}

func TestNoByteOfAFileCanChangeUnnoticed(t *testing.T) {
	t.Parallel()
	b, o := source(t)
	_, text := export(t, b, o)
	for at := range text {
		changed := bytes.Clone(text)
		changed[at] ^= 1
		if _, err := backup.Open(bytes.NewReader(changed)); err == nil {
			t.Errorf("byte %d, %q: Open accepts another", at, text[at])
		}
	}
}

func TestADamagedLineIsNamed(t *testing.T) {
	t.Parallel()
	b, o := source(t)
	_, text := export(t, b, o)
	_, err := backup.Open(bytes.NewReader(bytes.Replace(text, []byte(`"status":`), []byte(`"status":5,"x":`), 1)))
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("Open = %v; want an error that names line 2", err)
	}
}
