package switching

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
)

// markerLife is how long a removal is remembered in the new store: as long as any is.
const markerLife = 40 * time.Minute

// copier follows the store that is left and writes what it shows to the new one.
type copier struct {
	to   kvstore.Store
	seed maphash.Seed

	mu       sync.Mutex
	life     kvstore.Generation
	live     bool
	snapshot map[string]struct{} // the keys of the one that comes in
	dirty    map[string]kvstore.Entry
	copies   map[string]copied
	seen     uint64
	written  uint64 // the newest revision in the new store
	number   uint32 // the epoch of the store that is left
	failure  error
	news     chan struct{}
}

// copied is one key of the new store.
type copied struct {
	revision uint64 // there
	hash     uint64
	removed  bool
	unsure   bool // changed since it was verified
}

func newCopier(to kvstore.Store) *copier {
	return &copier{
		to: to, seed: maphash.MakeSeed(), dirty: map[string]kvstore.Entry{}, copies: map[string]copied{},
		news: make(chan struct{}, 1),
	}
}

var errLifeEnded = errors.New("the store that is left was made anew")

// Begin implements [kvstore.Follower].
func (c *copier) Begin(g kvstore.Generation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != "" && c.life != g {
		c.failure = errLifeEnded
	}
	c.life, c.live, c.snapshot = g, false, map[string]struct{}{}
}

// Apply implements [kvstore.Follower].
func (c *copier) Apply(e kvstore.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer notify(c.news)
	if !bookkeeping(e.Key) {
		c.dirty[e.Key] = e
	} else if e.Key == epoch.Key {
		c.number, _ = epoch.Of(e)
	}
	if c.snapshot != nil {
		c.snapshot[e.Key] = struct{}{}
	} else if !e.Torn {
		c.seen = e.Revision
	}
}

// Live implements [kvstore.Follower].
func (c *copier) Live(revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, copied := range c.copies {
		if _, there := c.snapshot[key]; c.snapshot != nil && !there && !copied.removed {
			c.failure = fmt.Errorf("%s has gone from the store that is left without a trace", key)
		}
	}
	c.live, c.snapshot, c.seen = true, nil, max(c.seen, revision)
	notify(c.news)
}

// Stale implements [kvstore.Follower].
func (c *copier) Stale(error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = false
}

// chunk is how many keys are written at a time.
const chunk = 1000

// pump writes what there is to write, and returns when the new store has everything up to
// revision upTo, which is that of the seal if sealed; else a rest of what came since may be
// left.
func (c *copier) pump(ctx context.Context, upTo uint64, sealed bool) error {
	for {
		entries, done, err := c.take(upTo, sealed)
		switch {
		case err != nil:
			return err
		case done:
			return nil
		case len(entries) == 0:
			select {
			case <-c.news:
			case <-time.After(tick):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		default:
			if err := c.write(ctx, entries); err != nil {
				return err
			}
		}
	}
}

func (c *copier) take(upTo uint64, sealed bool) (entries []kvstore.Entry, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return nil, false, c.failure
	}
	if reached := c.live && c.seen >= upTo; reached && (len(c.dirty) == 0 || !sealed && c.fresh(upTo)) {
		return nil, true, nil
	}
	for key, e := range c.dirty {
		if sealed && e.Revision > upTo {
			return nil, false, fmt.Errorf("%s was written after the store was sealed", key)
		}
		entries = append(entries, e)
		delete(c.dirty, key)
		if len(entries) == chunk {
			break
		}
	}
	return entries, false, nil
}

// fresh reports whether all that is yet to be copied came after revision upTo. The caller
// holds mu.
func (c *copier) fresh(upTo uint64) bool {
	for _, e := range c.dirty {
		if e.Revision <= upTo {
			return false
		}
	}
	return true
}

// write brings entries into the new store.
func (c *copier) write(ctx context.Context, entries []kvstore.Entry) error {
	writes := make([]kvstore.Write, len(entries))
	c.mu.Lock()
	for i := range entries {
		e := &entries[i]
		writes[i] = kvstore.Write{Key: e.Key, Value: e.Value, Expect: c.copies[e.Key].revision, Remove: e.Removed, Labels: e.Labels}
		if e.Removed {
			writes[i].Keep = markerLife
		}
	}
	c.mu.Unlock()
	for i, written := range kvstore.WriteEach(ctx, c.to, writes) {
		if written.Err != nil {
			return fmt.Errorf("copy %s: %w", writes[i].Key, written.Err)
		}
		e := &entries[i]
		c.mu.Lock()
		c.copies[e.Key] = copied{revision: written.Revision, hash: c.hash(e), removed: e.Removed, unsure: true}
		c.written = max(c.written, written.Revision)
		c.mu.Unlock()
	}
	return nil
}

// hash tells states of a key from each other. The operation is left out: a store makes one
// up where there is none.
func (c *copier) hash(e *kvstore.Entry) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, text := range [...]string{e.Key, e.Event, e.Reason} {
		_, _ = h.WriteString(text)
		_ = h.WriteByte(0)
	}
	if e.Removed {
		_ = h.WriteByte(1)
	}
	_, _ = h.Write(e.Value)
	return h.Sum64()
}

func (c *copier) progress() (copied, keys uint64) {
	if c == nil {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.copies)), uint64(len(c.copies) + len(c.dirty))
}
