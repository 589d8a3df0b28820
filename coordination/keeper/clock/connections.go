package clock

import (
	"sync"
	"time"
)

// remembered is for how long a closed connection is: what was sent on it and is still on its
// way tells nothing of life.
const remembered = 30 * time.Second

// connections knows which leases told which connection.
type connections struct {
	mu     sync.Mutex
	owners map[Connection]map[string]struct{}
	closed map[Connection]time.Duration // when
	oldest time.Duration                // not after any of closed
}

func (cs *connections) init() {
	cs.owners, cs.closed = map[Connection]map[string]struct{}{}, map[Connection]time.Duration{}
}

// bind notes that to is e's connection; the zero Connection that it has none. It reports
// whether to was closed lately. The caller holds the shard's lock.
func (s *session) bind(e *entry, to Connection) (closed bool) {
	if e.connection == to {
		return false
	}
	cs := &s.connections
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if owners := cs.owners[e.connection]; owners != nil {
		if delete(owners, e.owner); len(owners) == 0 {
			delete(cs.owners, e.connection)
		}
	}
	e.connection = to
	if to == (Connection{}) {
		return false
	}
	owners := cs.owners[to]
	if owners == nil {
		owners = map[string]struct{}{}
		cs.owners[to] = owners
	}
	owners[e.owner] = struct{}{}
	_, closed = cs.closed[to]
	return closed
}

// close notes that connection was closed, and returns whose it is.
func (cs *connections) close(connection Connection, now time.Duration) (owners []string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if now-cs.oldest > 2*remembered {
		cs.oldest = now
		for c, at := range cs.closed {
			if now-at > remembered {
				delete(cs.closed, c)
			} else {
				cs.oldest = min(cs.oldest, at)
			}
		}
	}
	cs.closed[connection] = now
	for owner := range cs.owners[connection] {
		owners = append(owners, owner)
	}
	return owners
}

// Disconnected says that connection was closed by its peer. The leases whose newest one it
// is are suspect from now on, and end after their grace unless a keepalive arrives. It does
// not block.
func (c *Clock) Disconnected(connection Connection) {
	s := c.session.Load()
	if s == nil || connection == (Connection{}) {
		return
	}
	for _, owner := range s.connections.close(connection, c.now()) {
		sh := s.shard(owner)
		sh.mu.Lock()
		if e := sh.leases[owner]; e != nil && e.connection == connection {
			s.suspect(sh, e)
		}
		sh.mu.Unlock()
	}
}

// suspect has e end after its grace. One that is held already stays so: the hold was for
// the loss of many connections. The caller holds the shard's lock.
func (s *session) suspect(sh *shard, e *entry) {
	if e.suspect || !e.granted() {
		return
	}
	s.mark(e, true, e.held)
	if at := s.now() + e.grace; !e.held && at < e.due {
		e.due, e.closed = at, true
		if e.index >= 0 {
			sh.push(e)
			notify(s.nudge)
		}
	}
}
