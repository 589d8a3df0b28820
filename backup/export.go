package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Office is who knows and restores the marks of objects, and raises the epoch. A client of
// an operator is one.
type Office interface {
	// Marks returns a page of the marks of a kind, those behind after.
	Marks(ctx context.Context, kind bus.Kind, after string, read backend.Read) (*bus.MarksReply, backend.Stamp, error)
	// RestoreMarks raises marks, at most [bus.MaxMarks], and says what became of each.
	RestoreMarks(ctx context.Context, kind bus.Kind, marks []bus.Mark, dry bool) ([]bus.RestoreResult, error)
	// RaiseEpoch begins an epoch above another, unless one has begun.
	RaiseEpoch(ctx context.Context, above backend.Epoch) (backend.Epoch, error)
}

// Options are how a backup is made or brought back. The zero value is usable.
type Options struct {
	// Dir is where temporary files are made; "" is the system's place for them.
	Dir string
	// MaxChanges is how many keys may change while a registry is read; 0 is a million.
	MaxChanges int
	// Progress, unless nil, is told how many registrations of how many are done.
	Progress func(done, total int)
}

func (o *Options) progress(done, total int) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

func (o *Options) maxChanges() int {
	if o.MaxChanges > 0 {
		return o.MaxChanges
	}
	return 1_000_000
}

// pageLimit is how many registrations are asked for at once.
const pageLimit = 2000

// epochs is how many epochs an export begins anew in.
const epochs = 5

// Export writes a backup of registry to w and returns its header. Nothing is written before
// everything was read. ErrUnavailable where the registry changes too fast.
func Export(ctx context.Context, registry backend.Backend, office Office, w io.Writer, opts Options) (Header, error) {
	for range epochs {
		h, err := export(ctx, registry, office, w, &opts)
		if !errors.Is(err, errMoved) {
			return h, err
		}
	}
	return Header{}, fmt.Errorf("export: %w: %w, several times", backend.ErrUnavailable, errMoved)
}

func export(ctx context.Context, registry backend.Backend, office Office, w io.Writer, opts *Options) (Header, error) {
	s, err := newSnapshot(registry, opts)
	if err != nil {
		return Header{}, err
	}
	defer s.remove()
	if err := s.take(ctx); err != nil {
		return Header{}, err
	}
	h := Header{
		Roost: magic, Format: Format, Time: time.Now().UTC().Truncate(time.Millisecond),
		Epoch: s.epoch, Revision: s.revision, Marks: map[bus.Kind]int{},
	}
	marks, err := spoolMarks(ctx, office, &h, opts.Dir)
	if err != nil {
		return Header{}, err
	}
	defer func() {
		_ = marks.Close() // nothing of it is needed any more
		_ = os.Remove(marks.Name())
	}()
	for l, err := range s.all() {
		if err != nil {
			return Header{}, err
		}
		h.Registrations++
		if l.permanent {
			h.Permanent++
		}
	}
	out := newWriter(w)
	out.json(h)
	for l, err := range s.all() {
		if err != nil {
			return Header{}, err
		}
		out.raw([]byte(`{"registration":`), l.text, []byte{'}'})
	}
	if err := copyLines(out, marks); err != nil {
		return Header{}, err
	}
	return h, out.finish()
}
