package view_test

import (
	"slices"
	"strings"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// oracle is what a view should be, without any cleverness.
type oracle struct {
	head  backend.Revision
	rows  map[backend.Key]*entry
	ended map[string]backend.Ending
}

// entry is a key: what is stored, and since when readers see what they see.
type entry struct {
	r       backend.Registration
	stored  backend.Revision
	removed bool
	gone    bool
	shown   backend.Revision
	kind    backend.EventKind
	reason  string
}

func newOracle() *oracle {
	return &oracle{rows: map[backend.Key]*entry{}, ended: map[string]backend.Ending{}}
}

func (o *oracle) apply(c view.Change) {
	k := c.Registration.Key
	old := o.rows[k]
	if old != nil && c.Revision <= max(old.stored, 0) {
		return
	}
	n := &entry{r: *c.Registration, stored: c.Revision, shown: c.Revision, kind: c.Kind, reason: c.Reason}
	n.r.Revision = c.Revision
	switch ending, ended := o.ended[c.Registration.Owner]; {
	case c.Removed:
		n.removed, n.gone = true, true
		if old != nil {
			n.r = old.r
			if old.gone && !old.removed && old.shown > old.stored {
				n.shown, n.kind, n.reason = old.shown, old.kind, old.reason
			}
		}
	case ended:
		n.gone, n.kind, n.reason = true, backend.Expired, ending.Reason
	}
	o.rows[k] = n
}

func (o *oracle) end(e backend.Ending) {
	if _, ended := o.ended[e.Owner]; ended {
		return
	}
	o.ended[e.Owner] = e
	for _, n := range o.rows {
		if n.r.Owner == e.Owner && !n.gone {
			n.gone, n.shown, n.kind, n.reason = true, e.Revision, backend.Expired, e.Reason
		}
	}
}

// replace is what a rebuild at a revision should come to, of what is stored now.
func (o *oracle) replace(stored map[backend.Key]view.Change, at backend.Revision) {
	for k, n := range o.rows {
		if _, there := stored[k]; there {
			continue
		}
		n.stored, n.removed = 0, true
		if !n.gone {
			n.gone, n.shown, n.kind, n.reason = true, at, backend.Unregistered, ""
		}
	}
	for k, c := range stored {
		old := o.rows[k]
		o.apply(c)
		if c.Removed && old != nil && c.Revision > old.stored { // it may have been there in between
			o.rows[k].shown, o.rows[k].kind, o.rows[k].reason = c.Revision, c.Kind, c.Reason
		}
	}
	o.head = at
}

func (o *oracle) live(q *backend.Query) []string {
	keys := []string{}
	for _, n := range o.rows {
		if !n.gone && q.MatchesPlain(&n.r) {
			keys = append(keys, n.r.String())
		}
	}
	slices.Sort(keys)
	return keys
}

// since returns what changed after a revision: keys that are there, and those that are not.
func (o *oracle) since(q *backend.Query, revision backend.Revision) (there, gone []string) {
	there, gone = []string{}, []string{}
	for k, n := range o.rows {
		switch {
		case !q.Contains(k) || n.shown <= revision:
		case n.gone || !q.MatchesPlain(&n.r):
			gone = append(gone, k.String())
		default:
			there = append(there, k.String())
		}
	}
	slices.SortFunc(there, strings.Compare)
	slices.SortFunc(gone, strings.Compare)
	return there, gone
}
