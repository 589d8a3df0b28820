package natskv

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Replicator looks after the replicas of a Store's bucket and of the counters beside it:
// it knows where they are and how current, and changes their number to what the Store's
// Config says as soon as there are servers for it. With 0 replicas it never takes any away.
type Replicator struct {
	now   func() *Store
	may   func() bool
	every time.Duration

	mu    sync.Mutex
	state Replication
}

// Replication is where the streams of a Store are.
type Replication struct {
	Wanted  int       // how many replicas each is to have
	At      time.Time // when that was looked at; zero: not yet
	Streams []Replicas
}

// Replicas is where a stream is.
type Replicas struct {
	Stream  string
	Count   int    // replicas that it has, or is being given
	Cluster string // of servers; "" for one that is alone
	Leader  string // the server that orders its writes; "" while there is none
	Others  []Replica
	// Refused is why it cannot have as many replicas as wanted, where that was tried.
	Refused error
}

// Replica is a server that has a stream and does not lead it.
type Replica struct {
	Server  string
	Current bool // it has everything that is acknowledged, or nearly
	Offline bool
	Lag     uint64        // messages that it is behind
	Heard   time.Duration // for so long nothing was heard of it
}

// lookEvery is how often a Replicator looks.
const lookEvery = 3 * time.Second

// NewReplicator returns a Replicator that is not yet running. It changes nothing while may
// is false: of the processes that share the bucket only one need do so.
// now returns the Store, which may be another one later, or nil for none.
func NewReplicator(now func() *Store, may func() bool) *Replicator {
	return &Replicator{now: now, may: may, every: lookEvery}
}

// State returns what Run saw last.
func (r *Replicator) State() Replication {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Run looks and changes until ctx is done.
func (r *Replicator) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		r.look(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look takes in how the streams are and changes what is to be changed.
func (r *Replicator) look(ctx context.Context) {
	store := r.now()
	if store == nil {
		return
	}
	now := Replication{Wanted: store.config.replicas(), At: time.Now()}
	before := r.State()
	for _, name := range []string{store.config.stream(), CountersOf(store.config.Bucket), JournalOf(store.config.Bucket)} {
		info, err := info(ctx, store, name)
		if err != nil {
			// There is no leader, or none within reach. What was known may still help.
			if last := before.of(name); last != nil {
				last.Leader = ""
				now.Streams = append(now.Streams, *last)
			}
			continue
		}
		state := replicasOf(info)
		if due(store, &state, now.Wanted) && r.may() {
			state.Refused = scale(ctx, store, info, now.Wanted)
			if state.Refused == nil {
				state.Count = now.Wanted
			}
			tell(ctx, store, before.of(name), &state, now.Wanted)
		}
		now.Streams = append(now.Streams, state)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = now
}

// of returns what is known of a stream, or nil.
func (n *Replication) of(stream string) *Replicas {
	for i := range n.Streams {
		if n.Streams[i].Stream == stream {
			return &n.Streams[i]
		}
	}
	return nil
}

// due reports whether a stream is to have another number of replicas.
func due(store *Store, s *Replicas, wanted int) bool {
	if s.Cluster == "" {
		return false
	}
	return s.Count < wanted || s.Count > wanted && store.config.Replicas != 0
}

func info(ctx context.Context, store *Store, stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := store.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// scale has a stream have n replicas.
func scale(ctx context.Context, store *Store, info *jetstream.StreamInfo, n int) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	changed := info.Config
	changed.Replicas = n
	if _, err := store.js.UpdateStream(ctx, changed); err != nil {
		return fmt.Errorf("have %s kept by %d servers: %w", info.Config.Name, n, err)
	}
	return nil
}

// tell says once what has come of a change.
func tell(ctx context.Context, store *Store, before, now *Replicas, wanted int) {
	stream := slog.String("stream", now.Stream)
	switch {
	case now.Refused == nil:
		store.log.LogAttrs(ctx, slog.LevelInfo, "stream gets another number of replicas", stream, slog.Int("replicas", wanted))
	case before == nil || before.Refused == nil:
		store.log.LogAttrs(ctx, slog.LevelWarn, "stream has not as many replicas as wanted, until there are servers for them: the loss of one can lose it",
			stream, slog.Int("replicas", now.Count), slog.Int("wanted", wanted), slog.Any("err", now.Refused))
	}
}

// silent is after what silence a server that is behind counts as offline. NATS itself takes
// one that was killed for there for minutes.
const silent = 5 * time.Second

func replicasOf(info *jetstream.StreamInfo) Replicas {
	s := Replicas{Stream: info.Config.Name, Count: info.Config.Replicas}
	if info.Cluster == nil {
		return s
	}
	s.Cluster, s.Leader = info.Cluster.Name, info.Cluster.Leader
	for _, p := range info.Cluster.Replicas {
		s.Others = append(s.Others, Replica{Server: p.Name, Current: p.Current, Offline: p.Offline || !p.Current && p.Active > silent, Lag: p.Lag, Heard: p.Active})
	}
	return s
}

// Under load a replica is rarely current at any one instant.
const (
	lateBy  = 100
	lateFor = 2 * time.Second
)

// late reports whether a replica is further behind than one that keeps up.
func (r *Replica) late() bool { return !r.Current && (r.Lag > lateBy || r.Heard > lateFor) }

// Problem says what is wrong with s if wanted replicas are wanted; "" if nothing is.
func (s *Replicas) Problem(wanted int) string {
	if s.Cluster == "" {
		return ""
	}
	if s.Leader == "" {
		return fmt.Sprintf("no server leads %s, so nothing is written", s.Stream)
	}
	if s.Count < wanted {
		return fmt.Sprintf("%s is kept by %d of %d servers that are wanted: the loss of one can lose it", s.Stream, s.Count, wanted)
	}
	var away, late []string
	for _, o := range s.Others {
		switch {
		case o.Offline:
			away = append(away, o.Server)
		case o.late():
			late = append(late, fmt.Sprintf("%s (%d messages behind)", o.Server, o.Lag))
		}
	}
	switch missing := s.Count - 1 - len(s.Others); {
	case len(away) > 0:
		return fmt.Sprintf("of %d servers that keep %s these are away: %s", s.Count, s.Stream, strings.Join(away, ", "))
	case len(late) > 0:
		return fmt.Sprintf("of %d servers that keep %s these are yet to have all of it: %s", s.Count, s.Stream, strings.Join(late, ", "))
	case missing > 0:
		return fmt.Sprintf("%d of %d servers that are to keep %s are yet to be told", missing, s.Count, s.Stream)
	}
	return ""
}
