package switching

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Stray is a move that was aborted while the process that carried it out did not answer. It
// may wake up and go on, before it learns of that: with making its copy, with adding to
// counters there, with deleting it. So nothing is moved there before it has.
type Stray struct {
	ID       string `json:"id"`
	To       Place  `json:"to"`
	Node     string `json:"node"`
	Instance string `json:"instance"`
}

// ErrStray means that somebody may still write to the place to move to.
var ErrStray = errors.New("carried out a switch to there that was aborted, and has not said that it has stopped")

// strays returns the moves that are not settled as of r.
func (r *Record) strays() []Stray {
	all := slices.Clone(r.Strays)
	if r.State == Aborted && !r.Settled {
		all = append(all, Stray{ID: r.ID, To: r.To, Node: r.Node, Instance: r.Instance})
	}
	return all
}

// free complains if somebody may still write to p.
func (r *Record) free(p Place) error {
	for _, stray := range r.strays() {
		if stray.To == p {
			return fmt.Errorf("node %s %w; start that node again, or name another bucket than %s", stray.Node, ErrStray, p.Bucket)
		}
	}
	return nil
}

// settles reports whether it is for this node to say that a move is settled: its process
// carries out another one or none, or it is one that has ended.
func (s *Store) settles(stray Stray) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case stray.Node != s.Node:
		return false
	case stray.Instance != s.instance:
		return true // whose store directory this one has locked
	}
	return s.own == nil || s.own.id != stray.ID || s.own.over
}

// settle says that what this node has carried out is settled, where the store is now.
func (s *Store) settle(ctx context.Context) error {
	return s.amend(ctx, s.current(), func(r *Record) error {
		left := slices.DeleteFunc(r.strays(), s.settles)
		if len(left) == len(r.strays()) {
			return errAsIs
		}
		if r.State == Aborted && !slices.ContainsFunc(left, func(stray Stray) bool { return stray.ID == r.ID }) {
			r.Settled = true
		}
		r.Strays = slices.DeleteFunc(left, func(stray Stray) bool { return stray.ID == r.ID })
		return nil
	})
}
