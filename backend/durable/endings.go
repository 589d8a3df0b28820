package durable

import (
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
)

// endings remembers whose lease has ended, and when.
type endings struct {
	live backend.Liveness

	mu    sync.Mutex
	owner map[string]backend.Ending
	told  []toldOf // in order, the oldest first
}

type toldOf struct {
	owner string
	at    time.Time
}

// remembered is how long an ending is. What it has ended is removed from the store long
// before; whatever is not is known by its age.
const remembered = 2 * MarkerLife

func newEndings(live backend.Liveness) *endings {
	return &endings{live: live, owner: map[string]backend.Ending{}}
}

// end takes in an ending.
func (e *endings) end(ending backend.Ending) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, twice := e.owner[ending.Owner]; !twice && ending.Owner != "" {
		e.owner[ending.Owner] = ending
		e.told = append(e.told, toldOf{ending.Owner, now})
	}
	for len(e.told) > 0 && now.Sub(e.told[0].at) > remembered {
		delete(e.owner, e.told[0].owner)
		e.told = e.told[1:]
	}
}

// of returns the ending of owner's lease, if it is remembered.
func (e *endings) of(owner string) (backend.Ending, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ending, ok := e.owner[owner]
	return ending, ok
}

// ended returns the ending that made what r holds vanish, if one did. A registration that
// is older than an ending is remembered, and whose owner does not live, was ended by one
// that has been forgotten: it counts as one at revision at, which this node has seen.
func (e *endings) ended(r *Record, at backend.Revision) (backend.Ending, bool) {
	owner := r.Registration.Owner
	if owner == "" || r.Removed {
		return backend.Ending{}, false
	}
	if ending, ok := e.of(owner); ok {
		return ending, true
	}
	if r.Revision > at || time.Since(r.Time) < MarkerLife || e.live.Lives(owner) {
		return backend.Ending{}, false
	}
	return backend.Ending{Owner: owner, Revision: at, Reason: backend.ReasonExpired}, true
}
