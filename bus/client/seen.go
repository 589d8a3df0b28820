package client

import (
	"sync"

	"github.com/roostbus/roost/backend"
)

// seen is what a client knows of the registry's progress from the replies it has had.
type seen struct {
	mu    sync.Mutex
	epoch backend.Epoch
	known backend.Revision // the newest in any reply
	own   backend.Revision // the newest that this client's writes made
}

// progress is a moment of seen.
type progress struct {
	epoch      backend.Epoch
	known, own backend.Revision
}

func (s *seen) now() progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return progress{epoch: s.epoch, known: s.known, own: s.own}
}

// saw takes note of a reply. A reply of an earlier epoch, from a node that has not heard
// of the newest, counts for nothing; a later epoch makes what is known of the earlier void.
func (s *seen) saw(stamp backend.Stamp, wrote bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stamp.Epoch < s.epoch {
		return
	}
	if stamp.Epoch > s.epoch {
		if s.epoch != 0 {
			s.known, s.own = 0, 0
		}
		s.epoch = stamp.Epoch
	}
	s.known = max(s.known, stamp.Revision)
	if wrote {
		s.own = max(s.own, stamp.Revision)
	}
}

// forget drops the own writes that p knew of: the registry says that it does not.
func (s *seen) forget(p progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == p.epoch && s.own <= p.own {
		s.own = 0
	}
}
