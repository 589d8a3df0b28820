package journal

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Epochs says which epoch a store is in.
type Epochs interface {
	Current() (epoch uint32, ok bool)
}

// Recorder records what a feed shows. It is a subscriber of a Tail and keeps it waiting
// never: what it cannot hold it drops, the oldest first, and says so.
type Recorder struct {
	log    Log
	epochs Epochs
	options
	wake chan struct{}

	mu       sync.Mutex
	held     []item // in the order in which they came
	bytes    int64
	in, next kvstore.Generation
	snapshot bool
	upTo     uint64 // the feed has shown everything up to it
	dropped  uint64 // the newest revision that was dropped of in
	place    Place  // that is known of the log
	status   Status
}

var _ kvstore.Subscriber = (*Recorder)(nil)

// item is something that is to be recorded.
type item struct {
	entry      kvstore.Entry
	generation kvstore.Generation
	came       time.Time
	// merged says that states before this one may be missing.
	merged bool
	// live is not a change but the end of a snapshot; revision is how far it reaches.
	live bool
}

// Status is how a Recorder is.
type Status struct {
	Held    int    // changes that are yet to be recorded
	Dropped uint64 // since the start, because there was no room
	Failing error  // why nothing can be recorded now; nil if it can
}

// Option injects something into a Recorder.
type Option func(*options)

type options struct {
	logger   *slog.Logger
	prefixes []string
	first    func() bool
	behind   time.Duration
	count    int
	size     int64
}

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithPrefixes has changes of keys be recorded that begin with one of prefixes.
func WithPrefixes(prefixes ...string) Option { return func(o *options) { o.prefixes = prefixes } }

// WithFirst has a Recorder hold back for a few seconds what it has seen, unless f says that
// it goes first. The default goes first. f must not block.
func WithFirst(f func() bool) Option { return func(o *options) { o.first = f } }

// WithRoom bounds what is held. The default is 65,536 changes and 64 MiB.
func WithRoom(count int, bytes int64) Option {
	return func(o *options) { o.count, o.size = count, bytes }
}

// holdBack is how long a Recorder that does not go first waits for the one that does.
const holdBack = 3 * time.Second

// NewRecorder returns a Recorder that is not yet running: Subscribe it, then Run it.
func NewRecorder(log Log, epochs Epochs, opts ...Option) *Recorder {
	r := &Recorder{log: log, epochs: epochs, wake: make(chan struct{}, 1), options: options{
		logger: slog.New(slog.DiscardHandler), prefixes: []string{""}, first: func() bool { return true },
		behind: holdBack, count: 1 << 16, size: 64 << 20,
	}}
	for _, o := range opts {
		o(&r.options)
	}
	return r
}

// Status returns how r is.
func (r *Recorder) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Held = len(r.held)
	return s
}

// Recorded returns the revision up to which everything that this node has seen is recorded,
// or known not to be, and of which life of the store; 0 while that is not known.
func (r *Recorder) Recorded() (kvstore.Generation, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.snapshot || r.place.Sequence == 0:
		return r.in, 0
	case len(r.held) == 0:
		return r.in, r.upTo
	case r.held[0].live:
		return r.in, 0
	}
	return r.in, r.held[0].entry.Revision - 1
}

// Begin implements [kvstore.Follower].
func (r *Recorder) Begin(g kvstore.Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshot, r.next = true, g
	if g != r.in {
		r.dropped = 0
	}
}

// Apply implements [kvstore.Follower].
func (r *Recorder) Apply(e kvstore.Entry) {
	wanted := false
	for _, p := range r.prefixes {
		wanted = wanted || strings.HasPrefix(e.Key, p)
	}
	if !wanted {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.in
	if r.snapshot {
		g = r.next
	}
	r.hold(item{entry: e, generation: g, came: time.Now(), merged: r.snapshot || e.Torn})
}

// hold holds i, and drops the oldest where there is no room. The caller holds mu.
func (r *Recorder) hold(i item) {
	r.held = append(r.held, i)
	r.bytes += i.size()
	for len(r.held) > r.count || r.bytes > r.size && len(r.held) > 1 {
		oldest := &r.held[0]
		if !r.place.covers(oldest.generation, oldest.entry.Revision) && !oldest.live {
			r.dropped = max(r.dropped, oldest.entry.Revision)
			r.status.Dropped++
		}
		r.bytes -= oldest.size()
		r.held = r.held[1:]
	}
	if !r.snapshot {
		r.signal()
	}
}

// rank orders lives of the store.
func (r *Recorder) rank(i *item) int {
	if i.generation == r.in {
		return 1
	}
	return 0
}

func (i *item) size() int64 { return int64(len(i.entry.Key) + len(i.entry.Value) + overhead) }

func (r *Recorder) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Live implements [kvstore.Follower].
func (r *Recorder) Live(revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.snapshot {
		r.snapshot, r.in = false, r.next
		r.hold(item{entry: kvstore.Entry{Revision: revision, Time: time.Now()}, generation: r.in, came: time.Now(), live: true})
		// A snapshot need not come in order, and repeats what is held already.
		slices.SortStableFunc(r.held, func(a, b item) int {
			return cmp.Or(cmp.Compare(r.rank(&a), r.rank(&b)), cmp.Compare(a.entry.Revision, b.entry.Revision))
		})
	}
	r.upTo = revision
	r.signal()
}

// Advance implements [kvstore.Subscriber].
func (r *Recorder) Advance(revision uint64) {
	r.mu.Lock()
	r.upTo = revision
	r.mu.Unlock()
}

// Stale implements [kvstore.Follower].
func (r *Recorder) Stale(error) {}
