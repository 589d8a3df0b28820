package server

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// stamps makes the headers that say how far an answer reaches. Many replies in a row say
// the same, so the last ones are kept.
type stamps struct {
	read, write, beat atomic.Pointer[stamped]
	// seen is the newest stamp of any read: how far this node has come.
	seen atomic.Pointer[backend.Stamp]
}

// stamped are the headers for one stamp. They are shared and must not be changed.
type stamped struct {
	stamp  backend.Stamp // its Age in whole milliseconds
	header nats.Header
}

// ofRead returns the headers of a successful reply to a read. They must not be changed.
func (s *stamps) ofRead(stamp backend.Stamp) nats.Header {
	stamp.Age = time.Duration(milliseconds(stamp.Age)) * time.Millisecond
	if last := s.read.Load(); last != nil && last.stamp == stamp {
		return last.header
	}
	s.saw(stamp)
	now := &stamped{stamp: stamp, header: make(nats.Header, 3)}
	stampHeader(now.header, stamp)
	now.header[bus.HeaderAge] = []string{strconv.FormatInt(milliseconds(stamp.Age), 10)}
	s.read.Store(now)
	return now.header
}

// ofWrite returns the headers of a successful reply to a write. They must not be changed.
func (s *stamps) ofWrite(stamp backend.Stamp) nats.Header {
	stamp = s.orSeen(stamp)
	stamp.Age = 0
	if last := s.write.Load(); last != nil && last.stamp == stamp {
		return last.header
	}
	now := &stamped{stamp: stamp, header: make(nats.Header, 2)}
	stampHeader(now.header, stamp)
	s.write.Store(now)
	return now.header
}

// ofKeepalive returns the headers of a successful reply to a keepalive, which changes
// nothing that has a revision. They must not be changed.
func (s *stamps) ofKeepalive() nats.Header {
	epoch := s.orSeen(backend.Stamp{}).Epoch
	if last := s.beat.Load(); last != nil && last.stamp.Epoch == epoch {
		return last.header
	}
	now := &stamped{stamp: backend.Stamp{Epoch: epoch}, header: nats.Header{
		bus.HeaderEpoch: {strconv.FormatUint(uint64(epoch), 10)},
	}}
	s.beat.Store(now)
	return now.header
}

// ofFailure returns headers of its own for a failed reply. stamp is zero where the
// failure has none: what this node has seen so far is said then.
func (s *stamps) ofFailure(stamp backend.Stamp, read bool) nats.Header {
	header := make(nats.Header, 5)
	if read && stamp != (backend.Stamp{}) {
		s.saw(stamp)
		header[bus.HeaderAge] = []string{strconv.FormatInt(milliseconds(stamp.Age), 10)}
	}
	stampHeader(header, s.orSeen(stamp))
	return header
}

// orSeen returns stamp, or what this node has seen where stamp says nothing.
func (s *stamps) orSeen(stamp backend.Stamp) backend.Stamp {
	if seen := s.seen.Load(); seen != nil && stamp.Revision == 0 {
		return *seen
	}
	return stamp
}

func stampHeader(h nats.Header, stamp backend.Stamp) {
	h[bus.HeaderRevision] = []string{strconv.FormatUint(uint64(stamp.Revision), 10)}
	h[bus.HeaderEpoch] = []string{strconv.FormatUint(uint64(stamp.Epoch), 10)}
}

// saw remembers stamp if it is newer than what was seen before.
func (s *stamps) saw(stamp backend.Stamp) {
	for {
		last := s.seen.Load()
		if last != nil && (last.Epoch > stamp.Epoch || last.Epoch == stamp.Epoch && last.Revision >= stamp.Revision) {
			return
		}
		if s.seen.CompareAndSwap(last, &stamp) {
			return
		}
	}
}

// milliseconds rounds up, because an age is an upper bound.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
