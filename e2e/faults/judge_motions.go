package faults

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// outcome is what a proposal has come to.
func (m *Motion) outcome() string {
	votes := slices.SortedFunc(slices.Values(m.Votes), func(a, b client.Vote) int { return cmp.Compare(a.Owner, b.Owner) })
	return fmt.Sprintf("%s (%s) of %+v", m.Decision, m.Reason, votes)
}

// judgeMotions holds what was shown of proposals against itself, against what voters say, and
// against their leases: C7.
func (l *Log) judgeMotions() []Violation {
	lives := map[string]*Life{}
	for _, life := range l.lives {
		lives[life.Owner] = life
	}
	decided := map[string]*Motion{} // by id, the first that was shown
	announced := map[string]client.Revision{}
	var found []Violation
	for i := range l.motions {
		m := &l.motions[i]
		if m.Return >= l.cutoff(m.Object) {
			continue
		}
		if problem := m.agrees(lives); problem != "" {
			found = append(found, Violation{"C7", fmt.Sprintf("%s %s at %v: %s: %s", m.Object, m.ID, m.Return, m.outcome(), problem)})
		}
		if m.Decision == client.Voting {
			continue
		}
		if was := announced[m.ID]; m.Announced != 0 {
			if was != 0 && was != m.Announced {
				found = append(found, Violation{"C7", fmt.Sprintf("the outcome of %s %s is announced at %d and at %d", m.Object, m.ID, was, m.Announced)})
			}
			announced[m.ID] = m.Announced
		}
		was := decided[m.ID]
		switch {
		case was == nil || m.Return < was.Return:
			decided[m.ID] = m
			if was == nil {
				break
			}
			fallthrough
		default:
			if was.outcome() != m.outcome() {
				found = append(found, Violation{"C7", fmt.Sprintf("%s %s is %s at %v, and %s at %v", m.Object, m.ID, was.outcome(), was.Return, m.outcome(), m.Return)})
			}
		}
	}
	for i := range l.motions {
		m := &l.motions[i]
		if m.Return >= l.cutoff(m.Object) || m.Announced != 0 || m.Decision != client.Voting {
			continue
		}
		if was := decided[m.ID]; was != nil && was.Return < m.Call {
			found = append(found, Violation{"C7", fmt.Sprintf("%s %s was decided by %v, and is voted on at %v", m.Object, m.ID, was.Return, m.Call)})
		}
	}
	return found
}

// agrees says what is wrong with what became of a proposal, with these votes, of owners who
// live or do not.
func (m *Motion) agrees(lives map[string]*Life) string {
	accepted, lost := 0, 0
	voted := map[string]bool{}
	for _, v := range m.Votes {
		switch {
		case voted[v.Owner]:
			return fmt.Sprintf("%.6s has voted twice", v.Owner)
		case !slices.Contains(m.Voters, v.Owner):
			return fmt.Sprintf("%.6s is no voter", v.Owner)
		case v.Accept != accepts(m.ID, v.Owner):
			return fmt.Sprintf("%.6s has not voted so", v.Owner)
		case v.Accept:
			accepted++
		default:
			lost++
		}
		voted[v.Owner] = true
	}
	for _, owner := range m.Voters {
		if life := lives[owner]; !voted[owner] && (life == nil || !life.certain(m.Return)) {
			lost++ // it may count as a no
		}
	}
	switch possible := len(m.Voters) - lost; {
	case m.Decision == client.Committed && accepted < m.Quorum:
		return fmt.Sprintf("%d of %d have accepted", accepted, m.Quorum)
	case m.Decision != client.Committed && accepted >= m.Quorum:
		return fmt.Sprintf("%d have accepted, of %d", accepted, m.Quorum)
	case m.Decision == client.Aborted && m.Reason == refused && possible >= m.Quorum:
		return fmt.Sprintf("%d can accept, of %d", possible, m.Quorum)
	case m.Decision == client.Aborted && m.Reason == timeout && m.Proposed != 0 && m.Return-m.Proposed < m.Timeout:
		return fmt.Sprintf("it was proposed at %v, for %v", m.Proposed.Round(time.Millisecond), m.Timeout)
	}
	return ""
}

// Why proposals are aborted.
const (
	refused = "refused"
	timeout = "timeout"
)
