package engine

import "sync/atomic"

// watcher is somebody who waits for a change of one record.
type watcher struct {
	wake chan struct{} // of size one

	// Guarded by the mirror.
	entry string // woken when this is not pending any more; "" for any change
	owner string // woken when this owner's lease ends, too
	from  uint64 // states before this revision do not count
}

// watchers are those of all records of a mirror, which guards them.
type watchers struct {
	keys   map[string]map[*watcher]struct{}
	owners map[string]map[*watcher]struct{}
	wakes  atomic.Uint64 // how many times somebody was woken
}

func newWatchers() watchers {
	return watchers{keys: map[string]map[*watcher]struct{}{}, owners: map[string]map[*watcher]struct{}{}}
}

func (w *watchers) add(key string, one *watcher) {
	put(w.keys, key, one)
	if one.owner != "" {
		put(w.owners, one.owner, one)
	}
}

func (w *watchers) remove(key string, one *watcher) {
	take(w.keys, key, one)
	take(w.owners, one.owner, one)
}

// put puts one into the set under key.
func put[T comparable](sets map[string]map[T]struct{}, key string, one T) {
	set := sets[key]
	if set == nil {
		set = map[T]struct{}{}
		sets[key] = set
	}
	set[one] = struct{}{}
}

// take takes one out of the set under key.
func take[T comparable](sets map[string]map[T]struct{}, key string, one T) {
	set := sets[key]
	delete(set, one)
	if len(set) == 0 {
		delete(sets, key)
	}
}

func (w *watchers) wake(one *watcher) {
	select {
	case one.wake <- struct{}{}:
		w.wakes.Add(1)
	default:
	}
}

// changed wakes those at key whom its new state, at revision, concerns.
func (w *watchers) changed(key string, revision uint64, pending func() []string) {
	all := w.keys[key]
	if len(all) == 0 {
		return
	}
	var waiting map[string]struct{}
	for one := range all {
		if one.entry != "" {
			if revision < one.from {
				continue
			}
			if waiting == nil {
				waiting = map[string]struct{}{}
				for _, entry := range pending() {
					waiting[entry] = struct{}{}
				}
			}
			if _, waits := waiting[one.entry]; waits {
				continue
			}
		}
		w.wake(one)
	}
}

// ended wakes those of owner.
func (w *watchers) ended(owner string) {
	for one := range w.owners[owner] {
		w.wake(one)
	}
}

// all wakes everybody.
func (w *watchers) all() {
	for _, at := range w.keys {
		for one := range at {
			w.wake(one)
		}
	}
}
