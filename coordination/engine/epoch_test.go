package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/kvstore/memkv"
)

// Whoever waits while the store is lost is answered from what was there before. Its revision
// is not of the epoch that has begun: a client that took it for one would take whatever it
// has sent for new, however long that has been on its way. R1.
func TestNoAnswerSaysARevisionOfBeforeInALaterEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		waits := map[string]func(ctx context.Context) (backend.Stamp, error){
			"lock": func(ctx context.Context) (backend.Stamp, error) {
				_, stamp, err := n.Locks.Acquire(ctx, object, party("b"), coordination.Exclusive, time.Second, as("b"))
				return stamp, err
			},
			"barrier": func(ctx context.Context) (backend.Stamp, error) {
				_, stamp, err := n.Barriers.Arrive(ctx, object, party("b"), 2, 0, time.Second, as("b"))
				return stamp, err
			},
		}
		for name, wait := range waits {
			epoch, _ := n.epochs.Current()
			var stamp backend.Stamp
			var err error
			over := make(chan struct{})
			go func() {
				defer close(over)
				stamp, err = wait(t.Context())
			}()
			settle()
			n.epochs.n.Store(epoch + 1)
			<-over
			if !errors.Is(err, backend.ErrTimeout) || stamp.Epoch != backend.Epoch(epoch) {
				t.Errorf("%s: %v of epoch %d, %v; want ErrTimeout of epoch %d", name, stamp.Revision, stamp.Epoch, err, epoch)
			}
		}
	})
}
