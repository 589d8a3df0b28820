package faults

import (
	"context"
	"maps"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus/client"
)

// finish stops the clients in order, and holds what everybody has at last against what there
// is: every process that lives is registered, whoever died is not, and whoever follows has
// exactly that.
func (w *world) finish(stopWriters func(), watchers []*watcher) {
	w.poll("list of all that live", func() bool {
		there, ok := w.listed()
		if !ok {
			return false
		}
		for _, life := range w.log.alive() {
			if there[life.Name].Owner != life.Owner {
				return false
			}
		}
		return true
	})
	stopWriters()
	w.poll("list without any who died", func() bool {
		there, ok := w.listed()
		if !ok {
			return false
		}
		for _, life := range w.log.dead() {
			if there[life.Name].Owner == life.Owner {
				return false
			}
		}
		return true
	})
	for _, one := range watchers {
		w.exact(one)
		w.current(one.troupe)
	}
}

// current waits until an observer has been shown who leads.
func (w *world) current(p *troupe) {
	name := "reign" + p.life()
	if !w.poll("current observer", func() bool {
		ctx, cancel := w.moment()
		defer cancel()
		r, _, err := w.look.Election(client.DefaultNamespace, name).Get(ctx, client.Read{Consistency: client.Linearizable})
		last := w.log.lastReign(p.number, "election."+name)
		return err == nil && last.Term == r.Leader.Term && last.Owner == r.Leader.Owner
	}) {
		w.tb.Errorf("C3: observer %d does not end at who leads: %+v", p.number, w.log.lastReign(p.number, "election."+name))
	}
}

// lastReign is what an observer was shown last.
func (l *Log) lastReign(observer int, object string) (last Reign) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reigns {
		if r.By == observer && r.Observer != "" && r.Object == object {
			last = r
		}
	}
	return last
}

// exact waits until a watcher has exactly what there is.
func (w *world) exact(one *watcher) {
	var diff string
	if !w.poll("exact watcher", func() bool {
		there, ok := w.listed()
		diff = ""
		for _, held := range one.held() {
			diff += cmp.Diff(there, held, cmp.Comparer(func(a, b Shown) bool {
				return a.Text == b.Text && a.Owner == b.Owner && (a.Revision == b.Revision || a.Revision == 0 || b.Revision == 0)
			}))
		}
		return ok && diff == ""
	}) {
		w.tb.Errorf("R7: watcher %d is not exact (-registry +watcher):\n%s", one.number, diff)
	}
}

// listed is what there is.
func (w *world) listed() (map[string]Shown, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.tb.Context()), 5*time.Second)
	defer cancel()
	q := everything()
	q.Consistency = client.Linearizable
	there := map[string]Shown{}
	for r, err := range w.look.All(ctx, q) {
		if err != nil {
			return nil, false
		}
		there[r.Service+"/"+r.Instance] = shownOf(r)
	}
	return maps.Clone(there), true
}

// alive are the newest leases of those who live.
func (l *Log) alive() []Life {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := map[string]Life{}
	for _, life := range l.lives {
		if serviceOf(life.Name) == people {
			newest[life.Name] = *life
		}
	}
	var all []Life
	for _, life := range newest {
		all = append(all, life)
	}
	return all
}

// dead are the leases that are over, by any cause.
func (l *Log) dead() []Life {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Life
	for _, life := range l.lives {
		if life.Gone != 0 || life.Expired != 0 {
			all = append(all, *life)
		}
	}
	return all
}
