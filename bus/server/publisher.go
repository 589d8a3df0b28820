package server

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/kvstore"
)

// Publisher publishes the changes of a store that does not publish them itself: the same
// messages, in the same order, that JetStream's republish makes of its bucket. What the
// store holds when the Publisher first sees it, or sees another store in its place, is
// not published. It follows a store by itself or as a subscriber of a [kvstore.Tail].
type Publisher struct {
	nc       *nats.Conn
	subjects bus.Subjects
	log      *slog.Logger

	generation kvstore.Generation
	silent     bool // the snapshot of a store not seen before is being shown
	newest     map[string]uint64
	removals   []removal // in the order of time
}

var _ kvstore.Subscriber = (*Publisher)(nil)

// removal is when the marker of a key was made.
type removal struct {
	key      string
	revision uint64
	at       time.Time
}

// published are the kinds of keys whose changes are published.
var published = [...]string{"event.", "announce."}

// markerLife is how long a removal counts as the previous change of its key.
const markerLife = 40 * time.Minute

// NewPublisher returns a Publisher that publishes through nc. A nil log discards.
func NewPublisher(nc *nats.Conn, subjects bus.Subjects, log *slog.Logger) *Publisher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{nc: nc, subjects: subjects, log: log, newest: map[string]uint64{}}
}

// Begin implements [kvstore.Follower].
func (p *Publisher) Begin(g kvstore.Generation) {
	if g == p.generation {
		return
	}
	p.generation, p.silent = g, true
	p.newest, p.removals = map[string]uint64{}, nil
}

// Live implements [kvstore.Follower].
func (p *Publisher) Live(uint64) { p.silent = false }

// Stale implements [kvstore.Follower].
func (p *Publisher) Stale(error) {}

// Advance implements [kvstore.Subscriber].
func (p *Publisher) Advance(uint64) {}

// Apply implements [kvstore.Follower].
func (p *Publisher) Apply(e kvstore.Entry) {
	if !strings.HasPrefix(e.Key, published[0]) && !strings.HasPrefix(e.Key, published[1]) {
		return
	}
	previous := p.newest[e.Key]
	if e.Revision <= previous {
		return
	}
	p.newest[e.Key] = e.Revision
	p.forget(e)
	if p.silent {
		return
	}
	m := &nats.Msg{Subject: p.subjects.Prefix() + "." + e.Key, Data: e.Value, Header: header(e, previous)}
	if err := p.nc.PublishMsg(m); err != nil {
		p.log.LogAttrs(context.Background(), slog.LevelWarn, "change not published",
			slog.String("key", e.Key), slog.Uint64("revision", e.Revision), slog.Any("err", err))
	}
}

func header(e kvstore.Entry, previous uint64) nats.Header {
	h := nats.Header{
		bus.HeaderSequence:     {strconv.FormatUint(e.Revision, 10)},
		bus.HeaderLastSequence: {strconv.FormatUint(previous, 10)},
	}
	for name, value := range map[string]string{
		bus.HeaderEvent: e.Event, bus.HeaderReason: e.Reason, bus.HeaderOperation: e.Operation,
	} {
		if value != "" {
			h[name] = []string{value}
		}
	}
	if e.Removed {
		h[bus.HeaderKVOperation] = []string{"PURGE"}
	}
	return h
}

// forget drops removals whose markers are gone, so that keys that come and go do not
// pile up.
func (p *Publisher) forget(e kvstore.Entry) {
	if e.Removed {
		p.removals = append(p.removals, removal{key: e.Key, revision: e.Revision, at: e.Time})
	}
	n := 0
	for n < len(p.removals) && e.Time.Sub(p.removals[n].at) > markerLife {
		if old := p.removals[n]; p.newest[old.key] == old.revision {
			delete(p.newest, old.key)
		}
		n++
	}
	p.removals = p.removals[n:]
}
