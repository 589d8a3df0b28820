package natskv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// check asks the bucket how it is, so as to notice what makes no message: a purge, a
// deletion, a roll-back, a consumer that is lost without a word.
func (a *attempt) check(ctx context.Context, watch *stuck) error {
	a.mu.Lock()
	a.census.poll()
	a.asked = nil
	seen, live := a.seen, a.live
	a.mu.Unlock()

	request, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	info, err := a.store.streamInfo(request)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	case err != nil:
		return nil // no leader, or none within reach
	case generation(info) != a.generation:
		return fmt.Errorf("%w: the bucket was made anew", errDoubt)
	case live && info.State.LastSeq < seen:
		return fmt.Errorf("the bucket fell back from revision %d to %d", seen, info.State.LastSeq)
	}
	a.mu.Lock()
	a.heard = time.Now()
	a.single = info.Config.Replicas <= 1
	a.asked = info
	a.compare()
	behind := !a.live || a.seen < info.State.LastSeq
	delivery := a.delivery
	a.mu.Unlock()
	return watch.look(ctx, a, behind, delivery)
}

// compare holds the bucket's own numbers against the census, once the revision at which
// they were taken has been shown.
func (a *attempt) compare() {
	info := a.asked
	if !a.live || a.seen < info.State.LastSeq {
		return
	}
	a.asked = nil
	if err := a.census.check(info.State.Msgs, info.State.LastSeq, info.TimeStamp); err != nil {
		a.over = true
		a.end(fmt.Errorf("%w: %w", errDoubt, err))
	}
}

// probe writes a message that a consumer with nothing more to show must show.
func (a *attempt) probe(ctx context.Context) error {
	a.mu.Lock()
	operation := a.doubts.begin()
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	_, err := a.store.barrier(ctx, operation)
	return err
}

// stuck notices a consumer that stands still.
type stuck struct {
	delivery uint64
	checks   int // in a row
}

// maxStill is the number of checks that a consumer may stand still while the bucket is
// ahead of it.
const maxStill = 4

var errStuck = errors.New("the consumer stands still while the bucket is ahead of it")

func (s *stuck) look(ctx context.Context, a *attempt, behind bool, delivery uint64) error {
	if !behind || delivery != s.delivery {
		*s = stuck{delivery: delivery}
		return nil
	}
	s.checks++
	switch s.checks {
	case 1:
		return nil
	case maxStill:
		return errStuck
	}
	// What it was to show may be gone; then it shows this.
	return a.probe(ctx)
}
