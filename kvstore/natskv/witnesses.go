package natskv

import (
	"context"
	"errors"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// witnesses are the messages that a feed has shown last. A bucket that was put back as it
// was some time ago has the creation time and, before long, the sequences of what it was:
// writes that waited for it to come back outgrow what was lost before a feed looks. But what
// bears those sequences then was written at another time.
type witnesses struct {
	shown [16]witness
	next  int
}

type witness struct {
	sequence uint64
	at       time.Time
}

func (w *witnesses) add(sequence uint64, at time.Time) {
	w.shown[w.next%len(w.shown)] = witness{sequence, at}
	w.next = (w.next + 1) % len(w.shown)
}

// newest yields the witnesses, the newest first.
func (w *witnesses) newest(yield func(witness) bool) {
	for i := range len(w.shown) {
		one := w.shown[(w.next+len(w.shown)-1-i)%len(w.shown)]
		if one.sequence == 0 || !yield(one) {
			return
		}
	}
}

// recognition says whether a bucket has the history that was shown.
type recognition uint8

const (
	same      recognition = iota + 1 // it goes on from what was shown
	elsewhere                        // it has another one
	unproven                         // all witnesses have been replaced since
)

// recognised asks the bucket's leader for what was shown last. One witness that is still
// there tells: before it, nothing else can have happened.
func (f *feed) recognised(ctx context.Context) (recognition, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for one := range f.witnesses.newest {
		m, err := f.store.fetch(ctx, f.store.config.stream(), pick{Sequence: one.sequence})
		switch {
		case errors.Is(err, kvstore.ErrNotFound):
			continue
		case err != nil:
			return 0, err
		case m.Time.Equal(one.at):
			return same, nil
		}
		return elsewhere, nil
	}
	return unproven, nil
}
