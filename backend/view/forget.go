package view

import (
	"time"

	"github.com/roostbus/roost/backend"
)

// forgetting says that a row which is gone, or an owner that has ended, may be
// forgotten some time after since.
type forgetting struct {
	row   *row
	shown backend.Revision // the row's, when this was said; a later one makes it void
	owner *owner
	since time.Time
}

// queue holds what is to be forgotten, the oldest first.
type queue struct {
	items []forgetting
	first int
}

func (q *queue) len() int          { return len(q.items) - q.first }
func (q *queue) push(f forgetting) { q.items = append(q.items, f) }

func (q *queue) pop() forgetting {
	f := q.items[q.first]
	q.items[q.first] = forgetting{}
	if q.first++; q.first*2 > len(q.items) {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	return f
}

// forget forgets what has been gone since before the given time, and more if there are
// more than most.
func (c *core) forget(before time.Time, most int, now time.Time) {
	for n := c.oblivion.len(); n > 0 && (n > most || c.oblivion.items[c.oblivion.first].since.Before(before)); n-- {
		f := c.oblivion.pop()
		if f.owner != nil {
			if f.owner.rows != nil { // something of it is still stored
				c.oblivion.push(forgetting{owner: f.owner, since: now})
			} else {
				delete(c.owners, f.owner.name)
			}
			continue
		}
		v := f.row.version.Load()
		switch {
		case !v.gone || v.shown != f.shown:
		case !v.removed: // its owner has ended, but it is still stored
			f.since = now
			c.oblivion.push(f)
		default:
			c.drop(f.row)
			c.forgotten = max(c.forgotten, v.shown)
			c.floor = max(c.floor, v.shown)
		}
	}
}
