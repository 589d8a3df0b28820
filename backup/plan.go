package backup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// ErrNotEmpty means that a registry holds what a file does not, and that nobody said that
// both are to be merged.
var ErrNotEmpty = errors.New("the registry is not empty")

// Import brings a File back into a registry.
type Import struct {
	Registry backend.Backend
	Office   Office
	File     *File
	// Merge allows the registry to hold permanent registrations that the file has not, or
	// has otherwise. They stay as they are.
	Merge bool
	// Progress, unless nil, is told how many permanent registrations of how many are done.
	Progress func(done, total int)
}

// Plan is what an import would do.
type Plan struct {
	// Epoch is the present one. Raise says that one above the file's must begin.
	Epoch backend.Epoch
	Raise bool

	Create    int // registrations that are in the file alone
	Unchanged int // that are there already
	Conflicts int // that are there, and are not what the file says
	Extra     int // permanent ones that are not in the file
	Leased    int // of the file, which are not imported

	// Examples are the keys of the first conflicts and extras.
	Examples []string

	Marks map[bus.Kind]MarkPlan
}

// MarkPlan counts marks of one kind by what would become of them.
type MarkPlan struct {
	Restore   int `json:"restore"`
	Unchanged int `json:"unchanged"`
	InUse     int `json:"in_use"`
}

// Nothing reports whether there is nothing to do.
func (p *Plan) Nothing() bool {
	if p.Create > 0 {
		return false
	}
	for _, m := range p.Marks {
		if m.Restore > 0 {
			return false
		}
	}
	return true
}

// maxExamples is how many keys a Plan names.
const maxExamples = 10

// Plan compares the file with the registry and changes nothing. ErrNotEmpty, beside which
// the Plan is complete.
func (i Import) Plan(ctx context.Context) (Plan, error) {
	p := Plan{Leased: i.File.Registrations - i.File.Permanent, Marks: map[bus.Kind]MarkPlan{}}
	_, stamp, err := i.Registry.List(ctx, backend.Query{Limit: 1, Read: backend.Read{Consistency: backend.Linearizable}})
	if err != nil {
		return p, fmt.Errorf("look at the registry: %w", err)
	}
	p.Epoch = stamp.Epoch
	example := func(key backend.Key) {
		if len(p.Examples) < maxExamples {
			p.Examples = append(p.Examples, key.String())
		}
	}
	for pair, err := range i.pairs(ctx) {
		switch {
		case err != nil:
			return p, err
		case pair.there == nil:
			p.Create++
		case pair.kept == nil:
			p.Extra++
			example(pair.there.Key)
		case same(pair.kept, pair.there):
			p.Unchanged++
		default:
			p.Conflicts++
			example(pair.there.Key)
		}
	}
	if err := i.planMarks(ctx, p.Marks); err != nil {
		return p, err
	}
	p.Raise = !p.Nothing() && p.Epoch <= i.File.Epoch
	if !i.Merge && p.Conflicts+p.Extra > 0 {
		return p, fmt.Errorf("%w: it has %d permanent registrations that are not in the backup, and %d that are otherwise there",
			ErrNotEmpty, p.Extra, p.Conflicts)
	}
	return p, nil
}

func (i Import) planMarks(ctx context.Context, plans map[bus.Kind]MarkPlan) error {
	var failed error
	err := i.restore(ctx, true, func(kind bus.Kind, r bus.RestoreResult) {
		p := plans[kind]
		switch {
		case r.Code != "":
			failed = refused(kind, r)
		case r.State == bus.StateRestored:
			p.Restore++
		case r.State == bus.StateUnchanged:
			p.Unchanged++
		default:
			p.InUse++
		}
		plans[kind] = p
	})
	return errors.Join(err, failed)
}

// pair is one key of the file, of the registry, or of both.
type pair struct{ kept, there *backend.Registration }

// pairs walks file and registry side by side, in the order of keys: what of the file is to
// be imported, and what stands in its way or is permanent of the registry.
func (i Import) pairs(ctx context.Context) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		q := backend.Query{Limit: pageLimit, Read: backend.Read{Consistency: backend.Linearizable}}
		nextThere, stop := iter.Pull2(backend.All(ctx, i.Registry, q))
		defer stop()
		there, err, more := nextThere()
		skip := func() { there, err, more = nextThere() }
		done := 0
		for kept, bad := range i.File.permanents() {
			if bad != nil {
				yield(pair{}, bad)
				return
			}
			key := kept.Key.String()
			for more && err == nil && there.Key.String() < key {
				if there.Owner == "" && !yield(pair{there: there}, nil) {
					return
				}
				skip()
			}
			if err != nil {
				yield(pair{}, fmt.Errorf("list the registry: %w", err))
				return
			}
			p := pair{kept: kept}
			if more && there.Key == kept.Key {
				p.there = there
				skip()
			}
			if !yield(p, nil) {
				return
			}
			if done++; i.Progress != nil {
				i.Progress(done, i.File.Permanent)
			}
		}
		for ; more && err == nil; skip() {
			if there.Owner == "" && !yield(pair{there: there}, nil) {
				return
			}
		}
		if err != nil {
			yield(pair{}, fmt.Errorf("list the registry: %w", err))
		}
	}
}

// same reports whether two registrations say the same.
func same(a, b *backend.Registration) bool {
	return a.Key == b.Key && a.Owner == b.Owner && a.Weight == b.Weight && max(a.Status, backend.Up) == max(b.Status, backend.Up) &&
		a.Metadata.String() == b.Metadata.String() && slices.Equal(a.Endpoints, b.Endpoints)
}
