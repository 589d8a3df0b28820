package natskv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/roostbus/roost/kvstore"
)

const (
	heartbeat = time.Second
	// inactive is how long the server keeps a consumer that nobody uses.
	inactive = 20 * time.Second
	// The buffer between server and follower.
	pullMessages = 1000
	pullBytes    = 32 << 20
	// hesitation is how long what was leapt over may take to be settled by what follows.
	// Nothing need follow: the server counts as pending what is overwritten by then.
	hesitation = 50 * time.Millisecond
)

// attempt is one consumer's life. Messages come in on the connection's goroutine, all else
// happens on the Feed's; the lock makes the follower hear from one at a time.
type attempt struct {
	*feed

	broken chan error    // what ended it, from the consumer
	prove  chan struct{} // the consumer has no more, and has not reached target
	leapt  chan struct{} // there are doubts, and the consumer says that it has more

	mu       sync.Mutex
	over     bool
	snapshot bool // between Begin and Live
	live     bool
	target   uint64 // everything up to it must have been shown before Live
	delivery uint64 // the consumer's own sequence of the newest message
	shown    uint64 // the newest revision that this consumer, or one that it goes on from, has shown
	asked    *jetstream.StreamInfo
	single   bool // the bucket has one replica
}

// attempt follows the bucket until something breaks, and says what.
func (f *feed) attempt(ctx context.Context) error {
	f.forgetStatus()
	if !f.store.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	info, err := f.store.ensure(ctx)
	if err != nil {
		return err
	}
	a := &attempt{feed: f, broken: make(chan error, 1), prove: make(chan struct{}, 1), leapt: make(chan struct{}, 1), single: info.Config.Replicas <= 1}
	if a.snapshot, a.target, err = a.begin(ctx, info); err != nil {
		return err
	}
	consumer, err := a.consumer(ctx)
	if err != nil {
		return err
	}
	defer a.remove(ctx, consumer)
	if err := a.same(ctx, info); err != nil {
		return err
	}
	if a.snapshot {
		if f.generation != generation(info) {
			f.generation, f.seen = generation(info), 0
			life := f.generation
			f.store.life.Store(&life)
		}
		f.afresh, f.census, f.witnesses = true, newCensus(), witnesses{}
		f.doubts.clear()
		f.follower.Begin(f.generation)
	}
	f.heard = time.Now()
	err = a.follow(ctx, consumer)
	f.afresh = f.afresh || errors.Is(err, errDoubt)
	return err
}

// forgetStatus takes what the connection has told since the last attempt.
func (f *feed) forgetStatus() {
	for {
		select {
		case <-f.status:
			f.store.publisher.interrupt()
		default:
			return
		}
	}
}

func (a *attempt) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	config := jetstream.ConsumerConfig{
		Name:              "feed-" + a.store.config.Node + "-" + nuid.Next(),
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: inactive,
		MemoryStorage:     true,
		Replicas:          1,
	}
	if a.snapshot {
		// With a history of 1 all there is is the last of each subject. Asking for the
		// last of each makes the server look for them first, which took more than
		// apiTimeout with 100,000 keys under writes.
		config.DeliverPolicy = jetstream.DeliverAllPolicy
	} else {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, a.seen+1
	}
	c, err := a.store.js.CreateConsumer(ctx, a.store.config.stream(), config)
	if err != nil {
		return nil, fmt.Errorf("make the feed's consumer: %w", err)
	}
	return c, nil
}

// same makes sure that the consumer was made on the bucket that was looked at before.
func (a *attempt) same(ctx context.Context, before *jetstream.StreamInfo) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	now, err := a.store.streamInfo(ctx)
	if err != nil {
		return err
	}
	if generation(now) != generation(before) {
		return errors.New("the bucket was made anew meanwhile")
	}
	return nil
}

// remove deletes the consumer, on a best effort: the server does so by itself before long.
func (a *attempt) remove(ctx context.Context, c jetstream.Consumer) {
	if !a.store.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout/2)
	defer cancel()
	_ = a.store.js.DeleteConsumer(ctx, a.store.config.stream(), c.CachedInfo().Name)
}

func (a *attempt) follow(ctx context.Context, c jetstream.Consumer) error {
	a.start(c.CachedInfo().NumPending == 0)
	pull, err := c.Consume(a.receive,
		jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullThresholdMessages(pullMessages/2),
		jetstream.PullHeartbeat(heartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { a.end(err) }))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	defer pull.Stop()
	defer func() {
		a.mu.Lock()
		a.over = true
		a.mu.Unlock()
	}()
	ticker := time.NewTicker(a.store.config.Check)
	defer ticker.Stop()
	var watch stuck
	var settle <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.store.done:
			return kvstore.ErrClosed
		case err := <-a.broken:
			return err
		case status := <-a.status:
			return fmt.Errorf("%w: %s", nats.ErrDisconnected, status)
		case <-a.prove:
			if err := a.probe(ctx); err != nil {
				return err
			}
		case <-a.leapt:
			if settle == nil {
				settle = time.After(hesitation)
			}
		case <-settle:
			settle = nil
			if err := a.settle(ctx); err != nil {
				return err
			}
		case <-ticker.C:
			if err := a.check(ctx, &watch); err != nil {
				return err
			}
		}
	}
}

// end has the attempt end because of err.
func (a *attempt) end(err error) {
	select {
	case a.broken <- err:
	default:
	}
}

var errGap = errors.New("the consumer skipped a message")

func (a *attempt) receive(m jetstream.Msg) {
	place, ok := parsePlace(m.Reply())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	if !ok || place.delivery != a.delivery+1 {
		a.over = true
		a.end(errGap)
		return
	}
	a.delivery = place.delivery
	// Cloned, for it shares its memory with the message's headers.
	e := decode(m.Subject()[len(a.store.config.subjectPrefix()):], m.Headers(), bytes.Clone(m.Data()), place.sequence, place.at)
	a.census.count(&e, a.snapshot && place.sequence <= a.target)
	a.doubt(&e, place.pending == 0)
	e.Torn = a.doubts.any() && !a.snapshot
	a.follower.Apply(e.Entry)
	a.shown = place.sequence
	a.witnesses.add(place.sequence, place.at)
	if !a.snapshot {
		a.seen = max(a.seen, place.sequence)
	}
	a.reach(place.pending == 0)
	if a.asked != nil {
		a.compare()
	}
}

// doubt takes into account what e, the next message, says of those that were skipped. all
// says that the consumer has no more.
func (a *attempt) doubt(e *stored, all bool) {
	if e.Revision > a.shown+1 {
		a.doubts.skip(a.shown+1, e.Revision)
	}
	a.doubts.replaced(e.before(a.generation))
	a.doubts.shown(e.Operation)
	if all && a.single {
		a.doubts.clear()
	}
}

// start says how much a consumer that has shown nothing has to show.
func (a *attempt) start(empty bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.snapshot {
		a.shown = a.seen
	}
	if empty && a.single {
		a.doubts.clear()
	}
	a.reach(empty)
}

// reach becomes live if what has been shown reaches the target. A consumer that has no
// more and is below it may be one on a server that lags behind, or the messages in
// between are gone; a message of our own tells. One tells too what doubts are about.
func (a *attempt) reach(all bool) {
	switch {
	case a.doubts.any():
		if a.doubts.underway() {
			return
		}
		if !all {
			if !a.snapshot { // there every message may be behind a leap, and there are more
				notify(a.leapt)
			}
			return
		}
	case a.live:
		return
	case a.shown >= a.target:
		a.live, a.snapshot, a.stale, a.afresh = true, false, false, false
		a.seen = a.shown
		a.follower.Live(a.shown)
		return
	case !all:
		return
	}
	notify(a.prove)
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// settle writes the message that tells about doubts, if there are any still.
func (a *attempt) settle(ctx context.Context) error {
	a.mu.Lock()
	doubtful := a.doubts.any() && !a.doubts.underway()
	a.mu.Unlock()
	if !doubtful {
		return nil
	}
	return a.probe(ctx)
}
