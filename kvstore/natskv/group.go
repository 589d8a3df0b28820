package natskv

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

const (
	// groupBytes is how much the messages of one group may weigh.
	groupBytes = 4 << 20
	// groupMessage is how much a message may weigh that joins a group.
	groupMessage = 64 << 10
)

// grouper makes writes that come while others are under way as one atomic batch, which a
// server that syncs every write syncs once, where that was seen to be cheaper.
//
// A write to whom nothing is under way goes by itself at once; nobody waits for company.
type grouper struct {
	// send publishes messages as a batch, calls published, and returns the revision of the
	// last.
	send func(messages []*nats.Msg, published func()) (uint64, error)
	done <-chan struct{} // closed when nothing more is sent

	mu       sync.Mutex
	costs    costs
	alone    int           // writes under way, each by itself
	landed   chan struct{} // unless nil, closed when none of those is any more
	queue    []*member     // that wait for the next group
	gathered bool          // run is under way
	closed   bool
	all      sync.WaitGroup
}

// member is a write that has joined a group.
type member struct {
	key     string
	message *nats.Msg
	weight  int
	group   *group       // guarded by grouper.mu; nil while it is in the queue
	outcome chan outcome // takes one without waiting
}

// group is writes that are made as one.
type group struct {
	members   []*member
	published chan struct{} // closed when their messages are not read any more
}

type outcome struct {
	revision uint64
	err      error
}

// errAlone says that a write has not been made, and should be by itself.
var errAlone = errors.New("not in a group")

func newGrouper(done <-chan struct{}, send func([]*nats.Msg, func()) (uint64, error)) *grouper {
	return &grouper{done: done, send: send}
}

// write makes m, to key, in a group: errNotSent and errLost as publisher.request. With
// errAlone nothing has been done, and m is to go by itself, counted by begin.
func (g *grouper) write(ctx context.Context, key string, m *nats.Msg) (uint64, error) {
	weight := m.Size()
	g.mu.Lock()
	if g.closed || weight > groupMessage || !g.gathered && !g.costs.expects(g.alone+1, time.Now()) {
		g.mu.Unlock()
		return 0, errAlone
	}
	j := g.join(key, m, weight)
	g.mu.Unlock()
	return g.await(ctx, j)
}

// writeEach is write for many, if they are to join, which it reports.
func (g *grouper) writeEach(ctx context.Context, writes []kvstore.Write, messages []*nats.Msg, outcomes []outcome) bool {
	g.mu.Lock()
	if g.closed || !g.costs.worth(len(writes), time.Now()) {
		g.mu.Unlock()
		return false
	}
	joined := make([]*member, len(writes))
	for i, m := range messages {
		joined[i] = g.join(writes[i].Key, m, m.Size())
	}
	g.mu.Unlock()
	for i, j := range joined {
		outcomes[i].revision, outcomes[i].err = g.await(ctx, j)
	}
	return true
}

// begin counts n writes as under way, each by itself, until what it returns is called.
func (g *grouper) begin(n int) (end func()) {
	g.mu.Lock()
	g.alone += n
	under := g.alone
	g.mu.Unlock()
	from := time.Now()
	return func() {
		now := time.Now()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.costs.alone(now.Sub(from), under, now)
		if g.alone -= n; g.alone == 0 && g.landed != nil {
			close(g.landed)
			g.landed = nil
		}
	}
}

// join puts a write into the queue. g.mu is held.
func (g *grouper) join(key string, m *nats.Msg, weight int) *member {
	j := &member{key: key, message: m, weight: weight, outcome: make(chan outcome, 1)}
	g.queue = append(g.queue, j)
	if !g.gathered {
		g.gathered = true
		g.all.Go(g.run)
	}
	return j
}

// await returns what becomes of j.
func (g *grouper) await(ctx context.Context, j *member) (uint64, error) {
	select {
	case o := <-j.outcome:
		return o.revision, o.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	of := j.group
	if of == nil {
		for i, waiting := range g.queue {
			if waiting == j {
				g.queue = append(g.queue[:i], g.queue[i+1:]...)
				break
			}
		}
	}
	g.mu.Unlock()
	if of == nil {
		select {
		case o := <-j.outcome: // it had left the queue to go by itself
			return o.revision, o.err
		default:
			return 0, errNotSent
		}
	}
	<-of.published // what the caller owns is read no more
	select {
	case o := <-j.outcome:
		return o.revision, o.err
	default:
		return 0, errLost
	}
}

// run makes groups of what waits until nothing does.
func (g *grouper) run() {
	for {
		g.land()
		next := g.next()
		if next == nil {
			return
		}
		g.commit(next)
	}
}

// land waits for what is under way by itself, though no longer than a group takes.
func (g *grouper) land() {
	g.mu.Lock()
	if g.alone == 0 {
		g.mu.Unlock()
		return
	}
	if g.landed == nil {
		g.landed = make(chan struct{})
	}
	landed, patience := g.landed, max(g.costs.group, time.Duration(g.alone)*g.costs.one)
	g.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-landed:
	case <-timer.C:
	case <-g.done:
	}
}

// next takes a group out of the queue. If there is none, or it is not worth it, those in
// the queue go by themselves, and run has ended.
func (g *grouper) next() *group {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.costs.worth(len(g.queue), time.Now()) {
		for _, j := range g.queue {
			j.outcome <- outcome{err: errAlone}
		}
		g.queue, g.gathered = nil, false
		return nil
	}
	of := &group{published: make(chan struct{})}
	keys := make(map[string]struct{}, min(len(g.queue), kvstore.MaxBatch))
	weight := 0
	var rest []*member
	for _, j := range g.queue {
		_, twice := keys[j.key]
		if twice || len(of.members) == kvstore.MaxBatch || weight+j.weight > groupBytes && len(of.members) > 0 {
			rest = append(rest, j)
			continue
		}
		keys[j.key] = struct{}{}
		weight += j.weight
		j.group = of
		of.members = append(of.members, j)
	}
	g.queue = rest
	return of
}

// commit makes a group and tells its members.
func (g *grouper) commit(of *group) {
	messages := make([]*nats.Msg, len(of.members))
	for i, j := range of.members {
		messages[i] = j.message
	}
	from := time.Now()
	last, err := g.send(messages, sync.OnceFunc(func() { close(of.published) }))
	now := time.Now()
	failure, refused := errors.AsType[*jetstream.APIError](err)
	if refused {
		verdict, _ := judge(failure)
		refused = verdict != perhaps && failure.ErrorCode != codeInFlight
	}
	undone := refused || errors.Is(err, errNotSent) || errors.Is(err, kvstore.ErrTooLarge) || errors.Is(err, kvstore.ErrClosed)
	if refused || err == nil { // else it shows what an outage costs
		g.mu.Lock()
		g.costs.together(now.Sub(from), len(of.members), refused, now)
		g.mu.Unlock()
	}
	for i, j := range of.members {
		switch {
		case err == nil:
			j.outcome <- outcome{revision: last - uint64(len(of.members)-1-i)} //nolint:gosec // indices are small
		case undone:
			j.outcome <- outcome{err: errAlone}
		default:
			j.outcome <- outcome{err: errLost}
		}
	}
}

// close returns when nothing is under way. done is closed.
func (g *grouper) close() {
	g.mu.Lock()
	for _, j := range g.queue {
		j.outcome <- outcome{err: errNotSent}
	}
	g.queue, g.closed = nil, true
	g.mu.Unlock()
	g.all.Wait()
}
