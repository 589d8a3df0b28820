package history

import (
	"fmt"
	"slices"
	"strings"
)

// elections are the states in which an election may be. There are several where its leader's
// lease has ended: readers know at once that nobody leads, and who follows is decided by
// whoever changes the record next, or by the registry itself at any time.
type elections struct {
	all []election // those of which one is; none stands for one that is new
}

func (s *elections) String() string {
	text := make([]string, 0, len(s.all))
	for i := range s.all {
		text = append(text, s.all[i].String())
	}
	return strings.Join(text, ", or ")
}

func (s *elections) equal(other *elections) bool {
	return len(s.all) == len(other.all) && !slices.ContainsFunc(s.all, func(e election) bool { return !other.has(&e) })
}

func (s *elections) has(e *election) bool { return slices.ContainsFunc(s.all, e.equalTo) }

// step reports whether an election in one of the states of s can answer d so, and in which
// it may be then.
func (s elections) step(d Deed, f Finding) (elections, bool) {
	before := s.all
	if len(before) == 0 {
		before = []election{{}}
	}
	var after elections
	for i := range before {
		e, ok := before[i].step(d, f)
		if !ok {
			continue
		}
		for _, e := range []election{e, e.elect()} {
			if !after.has(&e) {
				after.all = append(after.all, e)
			}
		}
	}
	return after, len(after.all) > 0
}

// stander is who leads or would lead; "" stands for nobody.
type stander struct {
	owner    string
	priority int
}

// election is the state of one.
type election struct {
	leader     stander
	candidates []stander // the highest priority first, then in the order of their coming
	term       uint64
	token      string // of the term; "" while nobody has been told
	newest     string // token that is known to be given
	dead       []string
	over       bool
}

func (e *election) String() string {
	return fmt.Sprintf("%v", Finding{Fate: Done, Token: e.newest, Term: e.term, Leader: e.leader.owner, Candidates: e.owners()})
}

// owners returns the candidates'.
func (e *election) owners() (owners []string) {
	for _, c := range e.candidates {
		owners = append(owners, c.owner)
	}
	return owners
}

func (e *election) candidate(owner string) int {
	return slices.IndexFunc(e.candidates, func(c stander) bool { return c.owner == owner })
}

func (e *election) equalTo(other election) bool {
	return e.leader == other.leader && e.term == other.term && e.token == other.token && e.newest == other.newest &&
		e.over == other.over && slices.Equal(e.candidates, other.candidates) && slices.Equal(e.dead, other.dead)
}

// step reports whether an election in state e can answer d so, and its state then.
func (e election) step(d Deed, f Finding) (election, bool) {
	in := e.leader.owner == d.Owner || e.candidate(d.Owner) >= 0
	switch {
	case d.Verb == ceases:
		e.over = true
		return e, true
	case f.Fate == Unknown && e.over:
		return e, true
	case d.Verb == End:
		e.dead = insert(e.dead, d.Owner)
		return e.without(d.Owner), in // of whoever takes no part it is as well taken to come later
	case d.Verb == Campaign:
		if slices.Contains(e.dead, d.Owner) || f.Fate == Unknown && in {
			return e, false
		}
		if e = e.elect(); !in {
			e = e.come(stander{d.Owner, d.Priority})
		}
		return e.elect(), true
	case d.Verb == Resign:
		return e.without(d.Owner).elect(), in || f.Fate == Done
	case d.Verb == Transfer:
		return e.transfer(d, f)
	case d.Verb == Lead:
		if e.leader.owner != d.Owner {
			return e, false
		}
		return e.told(f)
	}
	if e.leader.owner != f.Leader || !slices.Equal(e.owners(), f.Candidates) {
		return e, false
	}
	return e.told(f)
}

// told reports whether e's term can be that of f, and e when that is known.
func (e election) told(f Finding) (election, bool) {
	switch {
	case f.Term != e.term:
		return e, false
	case e.term == 0 || f.Token == e.token:
		return e, true
	case e.token != "" || f.Token <= e.newest:
		return e, false
	}
	e.token, e.newest = f.Token, f.Token
	return e, true
}

func (e election) without(owner string) election {
	if e.leader.owner == owner {
		e.leader = stander{}
	}
	e.candidates = slices.DeleteFunc(slices.Clone(e.candidates), func(c stander) bool { return c.owner == owner })
	return e
}

// come adds the newest candidate.
func (e election) come(c stander) election {
	at := slices.IndexFunc(e.candidates, func(other stander) bool { return other.priority < c.priority })
	if at < 0 {
		at = len(e.candidates)
	}
	e.candidates = slices.Insert(slices.Clone(e.candidates), at, c)
	return e
}

// transfer has a candidate lead instead of who asks for it.
func (e election) transfer(d Deed, f Finding) (election, bool) {
	if d.To == d.Owner { // which changes nothing, if that is who leads
		return e, e.leader.owner == d.Owner && f.Fate == Done
	}
	at := e.candidate(d.To)
	if e.leader.owner != d.Owner || at < 0 {
		return e, false
	}
	former := e.leader
	e.leader, e.term, e.token = e.candidates[at], e.term+1, ""
	e.candidates = slices.Delete(slices.Clone(e.candidates), at, at+1)
	return e.come(former), true
}

// elect has the first candidate lead where nobody does.
func (e election) elect() election {
	if e.leader.owner == "" && len(e.candidates) > 0 {
		e.leader, e.candidates = e.candidates[0], e.candidates[1:]
		e.term, e.token = e.term+1, ""
	}
	return e
}
