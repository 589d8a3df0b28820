package clock

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/lease"
)

// Get returns how owner's lease is, every grant and end acknowledged before the call
// included. ErrNotFound, ErrUnavailable, ErrNotKeeper.
func (c *Clock) Get(ctx context.Context, owner string) (Status, error) {
	all, err := c.statuses(ctx, func(yield func(string)) { yield(owner) })
	switch {
	case err != nil:
		return Status{}, fmt.Errorf("get the lease of %s: %w", owner, err)
	case len(all) == 0:
		return Status{}, fmt.Errorf("get the lease of %s: %w", owner, backend.ErrNotFound)
	}
	return all[0], nil
}

// List returns how the leases are whose owners come after after, ordered by owner: the
// first limit of them, or all if limit is 0. Errors are those of Get.
func (c *Clock) List(ctx context.Context, after string, limit int) ([]Status, error) {
	all, err := c.statuses(ctx, func(yield func(string)) {
		for _, owner := range first(c.table.Owners(), after, limit) {
			yield(owner)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list the leases: %w", err)
	}
	return all, nil
}

// statuses returns how the leases of owners are that live. owners is asked when the table
// is up to date.
func (c *Clock) statuses(ctx context.Context, owners func(yield func(string))) ([]Status, error) {
	s, err := c.serving()
	if err != nil {
		return nil, err
	}
	if err := s.sync(ctx); err != nil {
		return nil, err
	}
	var all []Status
	owners(func(owner string) {
		if l, ok := c.table.Get(owner); ok && l.Ended == "" {
			if status, ok := s.status(&l); ok {
				all = append(all, status)
			}
		}
	})
	if !c.entitled(s) {
		return nil, ErrNotKeeper
	}
	return all, nil
}

func (s *session) status(l *lease.Lease) (Status, bool) {
	status := Status{Owner: l.Owner, Name: l.Name, TTL: l.TTL(), State: Live, GrantedAt: l.GrantedAt}
	sh := s.shard(l.Owner)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.leases[l.Owner]
	switch {
	case e == nil:
		return Status{}, false
	case !e.granted():
		status.Remaining = l.TTL()
		return status, true
	case e.held:
		status.State = Held
	case e.suspect:
		status.State = Suspect
	}
	status.Remaining = max(e.due-s.now(), 0)
	return status, true
}

// first returns the first limit of owners that come after after, in order; all of them if
// limit is 0. It changes owners.
func first(owners []string, after string, limit int) []string {
	owners = slices.DeleteFunc(owners, func(owner string) bool { return owner <= after })
	if limit <= 0 || len(owners) <= limit {
		slices.Sort(owners)
		return owners
	}
	kept := owners[:0]
	for _, owner := range owners {
		kept = append(kept, owner)
		if len(kept) == 2*limit { // so that a page of many costs little more than a look at all
			slices.SortFunc(kept, strings.Compare)
			kept = kept[:limit]
		}
	}
	slices.Sort(kept)
	return kept[:min(limit, len(kept))]
}

// Health returns what the node knows of the leases: of those that are suspect or held only
// the keeper does.
func (c *Clock) Health() Health {
	h := Health{Leases: c.table.Len()}
	if s, err := c.serving(); err == nil {
		h.Suspects, h.Held = int(s.suspects.Load()), int(s.held.Load())
	}
	return h
}
