package engine

import (
	"sync"
	"time"
)

// desk is where Run notes what there is to do. Only Run uses it, but for what mu guards.
type desk struct {
	*Engine

	term     uint64 // of the present tenure; 0 while the node is not the keeper
	rounds   time.Time
	previous bool // the processes before this one have been looked for

	waits  map[spot]map[string]struct{} // nodes where requests wait
	votes  map[spot]vote
	unused map[spot]since

	jobs  map[spot]*job
	ready []*job
	later []*job // to be looked at again with the next tick

	mu       sync.Mutex
	over     []*job
	busy     int
	troubled map[spot]struct{} // with which it was said that one cannot go on
}

type vote struct {
	id  string
	due time.Time
}

type since struct {
	revision uint64
	from     time.Time
}

func (d *desk) clear() {
	d.waits, d.votes, d.unused = map[spot]map[string]struct{}{}, map[spot]vote{}, map[spot]since{}
	if d.jobs == nil {
		d.jobs, d.troubled = map[spot]*job{}, map[spot]struct{}{}
	}
}

// look takes in what is new.
func (d *desk) look(now time.Time) {
	tenure, keeps := d.office.Tenure()
	if !keeps {
		tenure.Term = 0
	}
	changed := d.term != tenure.Term
	if changed {
		d.term = tenure.Term
		d.clear()
	}
	d.keeping.Store(keeps)
	d.Engine.mu.Lock()
	news, fresh := d.news, d.fresh || changed && keeps
	d.news, d.fresh = map[spot]struct{}{}, false
	d.Engine.mu.Unlock()
	if fresh {
		for _, s := range d.shelves {
			for _, key := range s.keys("") {
				news[spot{s, key}] = struct{}{}
			}
		}
		d.known(news) // some of it may not be there any more
	}
	previous := fresh && !d.previous && d.tail.Generation() != ""
	d.previous = d.previous || previous
	for at := range news {
		d.inspect(at, now, previous)
	}
	d.reap()
}

// known adds to all what there is a note about.
func (d *desk) known(all map[spot]struct{}) {
	for at := range d.waits {
		all[at] = struct{}{}
	}
	for at := range d.votes {
		all[at] = struct{}{}
	}
	for at := range d.unused {
		all[at] = struct{}{}
	}
}

// inspect notes what there is to do about one record.
func (d *desk) inspect(at spot, now time.Time, previous bool) {
	found := at.shelf.look(at.key)
	previous = previous && found.previous
	if found.orphans || previous || found.dead && d.term != 0 {
		d.add(&job{spot: at, tidying: tidying{previous: previous}})
	}
	if d.term == 0 {
		return
	}
	d.note(at, &found)
	if found.voting == "" {
		delete(d.votes, at)
	} else if d.votes[at].id != found.voting {
		d.votes[at] = vote{found.voting, now.Add(found.timeout)}
	}
	if !found.idle {
		delete(d.unused, at)
	} else if d.unused[at].revision != found.revision {
		d.unused[at] = since{found.revision, now}
	}
}

// note notes where requests wait.
func (d *desk) note(at spot, found *duties) {
	if len(found.nodes) == 0 {
		delete(d.waits, at)
		return
	}
	nodes := make(map[string]struct{}, len(found.nodes))
	for _, node := range found.nodes {
		nodes[node] = struct{}{}
	}
	d.waits[at] = nodes
}

// clock looks at what time has brought.
func (d *desk) clock(now time.Time) {
	for _, j := range d.later {
		d.inspect(j.spot, now, j.previous)
	}
	d.later = nil
	// A node that writes enough else sends no probes.
	if d.waiters.Load() > 0 && now.Sub(d.probes.seen(d.node, now)) >= time.Second {
		d.add(&job{prove: true})
	}
	if d.term != 0 {
		d.silences(now)
		for at, v := range d.votes {
			if !now.Before(v.due) {
				d.add(&job{spot: at, tidying: tidying{expire: v.id}})
			}
		}
	}
	if now.Sub(d.rounds) < round {
		return
	}
	d.rounds = now
	for _, s := range d.shelves {
		s.prune(now)
	}
	for at, u := range d.unused {
		if now.Sub(u.from) >= d.idle {
			d.add(&job{spot: at, remove: u.revision})
		}
	}
}

// silences has the requests of nodes taken out that have gone.
func (d *desk) silences(now time.Time) {
	age := d.tail.Age()
	silent := map[string]bool{}
	for at, nodes := range d.waits {
		var gone []string
		for node := range nodes {
			is, known := silent[node]
			if !known {
				is = node != d.node && d.probes.silent(node, now, age)
				silent[node] = is
			}
			if is {
				gone = append(gone, node)
			}
		}
		if len(gone) > 0 {
			d.add(&job{spot: at, tidying: tidying{gone: gone}})
		}
	}
}
