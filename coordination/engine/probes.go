package engine

import (
	"strings"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// silence is how long a node's probe must stand still, by this node's own clock, for the
// requests that wait there to have gone.
const silence = 5 * time.Second

// probes are the nodes' signs of life, as the feed shows them.
type probes struct {
	mu    sync.Mutex
	nodes map[string]sign
}

type sign struct {
	revision uint64
	seen     time.Time
}

func newProbes() *probes { return &probes{nodes: map[string]sign{}} }

// Begin implements [kvstore.Follower].
func (p *probes) Begin(kvstore.Generation) {}

// Apply implements [kvstore.Follower].
func (p *probes) Apply(e kvstore.Entry) {
	node := strings.TrimPrefix(e.Key, kvstore.ProbePrefix)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nodes[node].revision != e.Revision { // a snapshot shows it again
		p.nodes[node] = sign{e.Revision, time.Now()}
	}
}

// Live implements [kvstore.Follower].
func (p *probes) Live(uint64) {}

// Stale implements [kvstore.Follower].
func (p *probes) Stale(error) {}

// Advance implements [kvstore.Subscriber].
func (p *probes) Advance(uint64) {}

// seen returns when node last gave a sign of life; now if it is asked for the first time.
func (p *probes) seen(node string, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.nodes[node]
	if !ok {
		s = sign{seen: now}
		p.nodes[node] = s
	}
	return s.seen
}

// silent reports whether node has stood still for long enough. What this node has not heard
// for age does not count against another.
func (p *probes) silent(node string, now time.Time, age time.Duration) bool {
	return now.Sub(p.seen(node, now))-age > silence
}
