package follow

import (
	"time"

	"github.com/roostbus/roost/backend"
)

// marks are the revisions that were taken in last of single keys. Of a key that is there
// the mark is of use until a complete list has reached it, of one that is gone also
// afterwards: what its lease's end removed is removed from the store later.
type marks struct {
	present map[backend.Key]backend.Revision
	gone    map[backend.Key]backend.Revision
	queue   []parting // the oldest first
}

// parting says when a key was removed.
type parting struct {
	key      backend.Key
	revision backend.Revision
	at       time.Time
}

func (m *marks) of(key backend.Key) (newest backend.Revision, gone bool) {
	if revision, there := m.gone[key]; there {
		return revision, true
	}
	return m.present[key], false
}

func (m *marks) set(key backend.Key, revision backend.Revision, gone bool, now time.Time) {
	if m.present == nil {
		m.present, m.gone = map[backend.Key]backend.Revision{}, map[backend.Key]backend.Revision{}
	}
	if !gone {
		delete(m.gone, key)
		m.present[key] = revision
		return
	}
	delete(m.present, key)
	m.gone[key] = revision
	m.queue = append(m.queue, parting{key, revision, now})
}

// cover drops the marks of present keys that a complete list has reached.
func (m *marks) cover(complete backend.Revision) {
	for key, revision := range m.present {
		if revision <= complete {
			delete(m.present, key)
		}
	}
}

// forget drops the marks of keys that have been gone for long.
func (m *marks) forget(complete backend.Revision, now time.Time) {
	n := 0
	for n < len(m.queue) && now.Sub(m.queue[n].at) >= Memory && m.queue[n].revision <= complete {
		if p := m.queue[n]; m.gone[p.key] == p.revision {
			delete(m.gone, p.key)
		}
		n++
	}
	if n == len(m.queue) {
		m.queue = nil
	} else {
		m.queue = m.queue[n:]
	}
}
