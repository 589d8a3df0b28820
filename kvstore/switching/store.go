package switching

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Config is what a node says of itself. All fields are required.
type Config struct {
	// Node is its name, under which its stores write their probes.
	Node string
	// Registry names the registry, so that no move overwrites another one's store.
	Registry string
	// Place is where the store lies that New is given.
	Place Place
}

// Store is a kvstore.Store that moves.
type Store struct {
	Config
	opener   Opener
	log      *slog.Logger
	instance string
	base     time.Time

	careful atomic.Bool // a move is under way: no acknowledgement counts by itself
	waiters atomic.Int64

	wake   chan struct{}
	orders chan *move

	mu         sync.Mutex
	running    bool
	home       *home
	next       *home         // that the feed is to show next; nil outside a change
	shut       bool          // writes wait
	shutAt     time.Time     // since when
	change     chan struct{} // closed and made anew with every change of what is below or h.seen
	record     Record
	at         uint64 // the revision of record in home; 0 if there is none
	seenAt     time.Time
	nodes      map[string]time.Time // when their probes were last shown
	answers    map[string]answer
	parents    map[kvstore.Generation]kvstore.Generation // of the lives that followed one another
	own        *move                                     // that this process carries out
	left       []*home
	answer     answer // that this node gave last, and when
	answeredAt time.Time
	shutBeat   uint64 // of the record that shut the gate
	closed     bool
}

// home is a store in use.
type home struct {
	Home
	place  Place
	first  uint64 // its lowest revision, if it is one that was moved to
	id     string // of the move that led here
	life   kvstore.Generation
	sealed uint64 // guarded by the Store; 0 if it is not

	// Guarded by the Store.
	leftAt time.Time
	record Record // that was shown before writes came here, at revision at
	at     uint64

	flights atomic.Int64
	probed  atomic.Int64 // when this process last sent a barrier
	seen    atomic.Uint64
	echo    atomic.Int64 // when the newest own write that came back was sent, since base

	mu       sync.Mutex
	pending  time.Duration // when the own write was sent that is waited for
	expected uint64        // its revision; 0 if none is
}

var (
	_ kvstore.Store     = (*Store)(nil)
	_ kvstore.Pipeliner = (*Store)(nil)
	_ kvstore.Lineage   = (*Store)(nil)
)

// Option injects something into a Store.
type Option func(*Store)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.log = l } }

// New returns a Store that begins at h, which it closes in the end.
func New(h Home, c Config, opener Opener, opts ...Option) (*Store, error) {
	if c.Node == "" || c.Registry == "" || c.Place.Kind == "" {
		return nil, errors.New("switching: a node, its registry and its place need names")
	}
	s := &Store{
		Config: c, opener: opener, log: slog.New(slog.DiscardHandler), instance: rand.Text(),
		base: time.Now().Add(-1), wake: make(chan struct{}, 1), orders: make(chan *move),
		home: &home{Home: h, place: c.Place}, change: make(chan struct{}),
		nodes: map[string]time.Time{}, answers: map[string]answer{},
		parents: map[kvstore.Generation]kvstore.Generation{},
	}
	for _, o := range opts {
		o(s)
	}
	return s, nil
}

// Where returns where the store lies.
func (s *Store) Where() Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home.place
}

// Inner returns the store that is used at this moment.
func (s *Store) Inner() kvstore.Store { return s.current().Store }

// Shown returns where the store lies that the feed shows: what Where does, or is about to.
func (s *Store) Shown() Place { return s.shown().place }

// Succeeds implements [kvstore.Lineage].
func (s *Store) Succeeds(old, next kvstore.Generation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g, ok := s.parents[next]; ok; g, ok = s.parents[g] {
		if g == old {
			return true
		}
	}
	return false
}

func (s *Store) current() *home {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home
}

// broadcast wakes whoever waits for a change. The caller holds mu.
func (s *Store) broadcast() {
	close(s.change)
	s.change = make(chan struct{})
	notify(s.wake)
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// errMoved means that the caller has decided from a store that is used no more.
var errMoved = errors.New("the store has moved")

// enter returns the store that a write may be made to, and waits while none may. The caller
// ends the write with leave.
func (s *Store) enter(ctx context.Context) (*home, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for began := s.home; ; {
		switch {
		case s.closed:
			return nil, kvstore.ErrClosed
		case s.home != began:
			return nil, errMoved
		case !s.shut:
			s.home.flights.Add(1)
			return s.home, nil
		}
		if err := s.wait(ctx); err != nil {
			return nil, fmt.Errorf("%w: the registry is being switched to another store: %w", kvstore.ErrUnavailable, err)
		}
	}
}

// wait waits for a change. The caller holds mu.
func (s *Store) wait(ctx context.Context) error {
	changed := s.change
	s.mu.Unlock()
	s.waiters.Add(1)
	defer s.mu.Lock()
	defer s.waiters.Add(-1)
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Store) leave(h *home) {
	if h.flights.Add(-1) == 0 && s.careful.Load() {
		notify(s.wake)
	}
}

// Get returns the newest entry of key.
func (s *Store) Get(ctx context.Context, key string) (kvstore.Entry, error) {
	return s.current().Store.Get(ctx, key)
}

// Scan returns the newest entries of all keys that match one of patterns.
func (s *Store) Scan(ctx context.Context, patterns []string, atLeast uint64) (kvstore.Scanned, error) {
	return s.current().Store.Scan(ctx, patterns, atLeast)
}

// Info describes the store.
func (s *Store) Info(ctx context.Context) (kvstore.Info, error) { return s.current().Store.Info(ctx) }

// Close closes every store that is open.
func (s *Store) Close() error {
	s.mu.Lock()
	homes := append(s.left, s.home)
	if s.next != nil {
		homes = append(homes, s.next)
	}
	closed := s.closed
	s.closed, s.left = true, nil
	s.broadcast()
	s.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, h := range homes {
		errs = append(errs, h.Free())
	}
	return errors.Join(errs...)
}
