package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Done is what an import has done.
type Done struct {
	Epoch    backend.Epoch // that there is now
	Created  int
	Kept     int // that somebody else had registered meanwhile, or before, otherwise
	Restored int // marks
	InUse    int // marks of objects that were left as they are
}

// Run carries out a plan that [Import.Plan] has made: first the epoch, then the marks, then
// the registrations. An import that has failed is finished by another.
func (i Import) Run(ctx context.Context, p Plan) (Done, error) {
	d := Done{Epoch: p.Epoch, Kept: p.Conflicts}
	if p.Nothing() {
		return d, nil
	}
	if p.Raise {
		epoch, err := i.Office.RaiseEpoch(ctx, max(i.File.Epoch, p.Epoch))
		if err != nil {
			return d, fmt.Errorf("begin a new epoch: %w", err)
		}
		d.Epoch = epoch
	}
	if err := i.runMarks(ctx, &d); err != nil {
		return d, err
	}
	return d, i.register(ctx, &d)
}

func (i Import) runMarks(ctx context.Context, d *Done) error {
	var failed error
	err := i.restore(ctx, false, func(kind bus.Kind, r bus.RestoreResult) {
		switch {
		case r.Code != "":
			failed = refused(kind, r)
		case r.State == bus.StateRestored:
			d.Restored++
		case r.State == bus.StateInUse:
			d.InUse++
		}
	})
	return errors.Join(err, failed)
}

// refused is the error of a mark that could not be restored.
func refused(kind bus.Kind, r bus.RestoreResult) error {
	return fmt.Errorf("restore marks of kind %s: %w", kind, &bus.Error{Code: r.Code, Message: r.Message})
}

// The bounds of what is asked for at once.
const (
	marksAtOnce     = 200
	markBytesAtOnce = 512 << 10
	registerAtOnce  = 500
	registering     = 4
)

// restore hands the file's marks on and tells each what became of them.
func (i Import) restore(ctx context.Context, dry bool, tell func(bus.Kind, bus.RestoreResult)) error {
	var kind bus.Kind
	var marks []bus.Mark
	size := 0
	flush := func() error {
		if len(marks) == 0 {
			return nil
		}
		results, err := i.Office.RestoreMarks(ctx, kind, marks, dry)
		if err != nil {
			return fmt.Errorf("restore marks of kind %s: %w", kind, err)
		}
		for _, r := range results {
			tell(kind, r)
		}
		marks, size = marks[:0], 0
		return nil
	}
	for m, err := range i.File.marks() {
		if err != nil {
			return err
		}
		if m.Kind != kind || len(marks) == marksAtOnce || size+len(m.Record) > markBytesAtOnce {
			if err := flush(); err != nil {
				return err
			}
			kind = m.Kind
		}
		marks = append(marks, m.Mark)
		size += len(m.Record)
	}
	return flush()
}

// register registers what of the file is not there, several batches side by side.
func (i Import) register(ctx context.Context, d *Done) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	batches := make(chan []backend.Operation)
	var workers sync.WaitGroup
	for range registering {
		workers.Go(func() {
			for operations := range batches {
				created, kept, err := i.batch(ctx, operations)
				mu.Lock()
				d.Created += created
				d.Kept += kept
				mu.Unlock()
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	err := i.fill(ctx, batches)
	close(batches)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// fill sends what is to be registered in batches.
func (i Import) fill(ctx context.Context, batches chan<- []backend.Operation) error {
	var operations []backend.Operation
	send := func() error {
		select {
		case batches <- operations:
			operations = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for p, err := range i.pairs(ctx) {
		if err != nil {
			return err
		}
		if p.there != nil {
			continue
		}
		operations = append(operations, backend.Operation{
			Kind: backend.OpRegister, Write: backend.Write{If: backend.IfAbsent()},
			Registration: backend.Registration{
				Key: p.kept.Key, Endpoints: p.kept.Endpoints, Metadata: p.kept.Metadata, Weight: p.kept.Weight, Status: p.kept.Status,
			},
		})
		if len(operations) == registerAtOnce {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if len(operations) == 0 {
		return nil
	}
	return send()
}

func (i Import) batch(ctx context.Context, operations []backend.Operation) (created, kept int, err error) {
	if ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	results, _, err := backend.Batch(ctx, i.Registry, operations, false)
	if err != nil {
		return 0, 0, fmt.Errorf("register: %w", err)
	}
	for n, r := range results {
		switch {
		case r.Err == nil:
			created++
		case errors.Is(r.Err, backend.ErrExists), errors.Is(r.Err, backend.ErrConflict):
			kept++ // somebody was faster
		default:
			err = fmt.Errorf("register %s: %w", operations[n].Registration.Key, r.Err)
		}
	}
	return created, kept, err
}
