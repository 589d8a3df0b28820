package history

import (
	"cmp"
	"fmt"
	"slices"
)

// holding is the state of a lock or a semaphore. Only holders count: whoever waits has
// what it waits for from some instant of its request on, or it has nothing.
type holding struct {
	holders []Party // in the order of their names
	newest  string  // token that is known to be given
	shares  bool    // who has it was not alone: others of the same transition may have it, too
	dead    []string
	over    bool
}

func (h *holding) String() string {
	return fmt.Sprintf("%v, token %s", Finding{Fate: Done, Holders: h.holders}, h.newest)
}

func (h *holding) equal(other *holding) bool {
	return h.newest == other.newest && h.shares == other.shares && h.over == other.over &&
		slices.Equal(h.holders, other.holders) && slices.Equal(h.dead, other.dead)
}

func (h *holding) used() (permits int) {
	for _, one := range h.holders {
		permits += one.Has
	}
	return permits
}

func (h *holding) find(owner, holder string) (int, bool) {
	return slices.BinarySearchFunc(h.holders, Party{Owner: owner, Holder: holder}, func(a, b Party) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Holder, b.Holder))
	})
}

// step reports whether an object in state h can answer d so, and its state then.
func (h holding) step(d Deed, f Finding) (holding, bool) {
	i, has := h.find(d.Owner, d.Holder)
	switch {
	case d.Verb == ceases:
		h.over = true
		return h, true
	case f.Fate == Unknown && h.over:
		return h, true
	case d.Verb == End:
		// Of whoever has nothing it is as well taken to come later.
		has = slices.ContainsFunc(h.holders, func(p Party) bool { return p.Owner == d.Owner })
		h.holders = without(h.holders, func(p Party) bool { return p.Owner == d.Owner })
		h.dead = insert(h.dead, d.Owner)
		return h, has
	case d.Verb == Read:
		return h.shows(f)
	case d.Verb == Release:
		if has {
			h.holders = slices.Delete(slices.Clone(h.holders), i, i+1)
		}
		return h, has || f.Fate == Done
	case f.Fate == Refused:
		// Where nobody has anything whoever is first in the queue is served.
		return h, len(h.holders) > 0 && !has
	}
	if has || h.used()+d.Has > d.Limit || slices.Contains(h.dead, d.Owner) {
		return h, false
	}
	h.holders = slices.Insert(slices.Clone(h.holders), i, Party{Owner: d.Owner, Holder: d.Holder, Has: d.Has, Token: f.Token})
	if f.Fate == Unknown {
		return h, true
	}
	alone := d.Has == d.Limit
	if f.Token < h.newest || f.Token == h.newest && (alone || !h.shares) || f.Token == "" {
		return h, false
	}
	h.newest, h.shares = f.Token, !alone
	return h, true
}

// shows reports whether a read of h can show f.
func (h holding) shows(f Finding) (holding, bool) {
	if len(f.Holders) != len(h.holders) || f.Token != "" && f.Token < h.newest {
		return h, false
	}
	holders := slices.Clone(h.holders)
	for _, p := range f.Holders {
		i, has := h.find(p.Owner, p.Holder)
		if !has || holders[i].Has != p.Has || holders[i].Token != "" && holders[i].Token != p.Token || p.Token > f.Token {
			return h, false
		}
		holders[i].Token = p.Token // that of an acquire of unknown outcome is known now
	}
	h.holders = holders
	if f.Token > h.newest {
		// Only an acquire of unknown outcome can have been given it.
		h.newest, h.shares = f.Token, true
	}
	return h, true
}

func without(all []Party, gone func(Party) bool) []Party {
	return slices.DeleteFunc(slices.Clone(all), gone)
}

// insert returns the ordered set all with one more.
func insert(all []string, one string) []string {
	i, has := slices.BinarySearch(all, one)
	if has {
		return all
	}
	return slices.Insert(slices.Clone(all), i, one)
}
