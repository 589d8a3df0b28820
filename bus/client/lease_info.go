package client

import (
	"context"
	"iter"
	"time"

	"github.com/roostbus/roost/bus"
)

// LeaseState is how a lease is that has not ended.
type LeaseState string

// The states of a lease.
const (
	LeaseLive    LeaseState = "live"
	LeaseSuspect LeaseState = "suspect" // its connection was closed, and its grace runs
	LeaseHeld    LeaseState = "held"    // it would have ended, together with too many others
)

// LeaseInfo is what the registry says of a lease.
type LeaseInfo struct {
	Owner         string
	Name          string
	TTL           time.Duration
	Remaining     time.Duration
	State         LeaseState
	Registrations int
	GrantedAt     time.Time
}

// LeaseQuery selects leases. The zero value is all, as many as fit.
type LeaseQuery struct {
	Limit int    // 0: as many as fit
	After string // the Next of the page before
	Read  Read
}

// LeasesPage is one page of a list of leases, ordered by owner.
type LeasesPage struct {
	Leases []LeaseInfo
	Next   string // "" at the end
}

func infoOf(l *bus.Lease) LeaseInfo {
	return LeaseInfo{
		Owner: l.Owner, Name: l.Name, State: LeaseState(l.State), Registrations: l.Registrations,
		TTL:       time.Duration(l.TTLMs) * time.Millisecond,
		Remaining: time.Duration(l.RemainingMs) * time.Millisecond,
		GrantedAt: l.GrantedAt.Time(),
	}
}

// LeaseGet returns what the keeper knows of owner's lease, whoever holds it. ErrNotFound if
// it has ended or never was.
func (c *Client) LeaseGet(ctx context.Context, owner string, read Read) (LeaseInfo, Stamp, error) {
	if err := bus.ValidateOwner(owner); err != nil {
		return LeaseInfo{}, Stamp{}, err
	}
	if err := read.Validate(); err != nil {
		return LeaseInfo{}, Stamp{}, err
	}
	r := &request{subject: c.subjects.LeaseGet(owner)}
	reply, stamp, err := c.ask(ctx, r, read, func(f bus.Freshness) any { return bus.LeaseRequest{Freshness: f} })
	if err != nil {
		return LeaseInfo{}, stamp, err
	}
	var body bus.Lease
	if err := decode(reply, &body); err != nil {
		return LeaseInfo{}, Stamp{}, c.garbled(r, err)
	}
	return infoOf(&body), stamp, nil
}

// LeaseList returns a page of the leases that live.
func (c *Client) LeaseList(ctx context.Context, q LeaseQuery) (*LeasesPage, Stamp, error) {
	if err := q.Read.Validate(); err != nil {
		return nil, Stamp{}, err
	}
	r := &request{subject: c.subjects.LeaseList()}
	reply, stamp, err := c.ask(ctx, r, q.Read, func(f bus.Freshness) any {
		return bus.LeasesRequest{Paging: paging(Query{Limit: q.Limit, After: q.After}), Freshness: f}
	})
	if err != nil {
		return nil, stamp, err
	}
	var body bus.LeasesReply
	if err := decode(reply, &body); err != nil {
		return nil, Stamp{}, c.garbled(r, err)
	}
	page := &LeasesPage{Leases: make([]LeaseInfo, len(body.Leases)), Next: body.Next}
	for i := range body.Leases {
		page.Leases[i] = infoOf(&body.Leases[i])
	}
	return page, stamp, nil
}

// Leases yields every lease that lives, page by page. The last pair carries the error, if
// any: what came before it is then not the whole.
func (c *Client) Leases(ctx context.Context) iter.Seq2[LeaseInfo, error] {
	return func(yield func(LeaseInfo, error) bool) {
		var q LeaseQuery
		for {
			page, _, err := c.LeaseList(ctx, q)
			if err != nil {
				yield(LeaseInfo{}, err)
				return
			}
			for _, l := range page.Leases {
				if !yield(l, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	}
}

// AdminRevoke ends owner's lease, whoever holds it, with everything that belongs to it. It
// is the operator's. It returns how many registrations that were: 0 also where that is not
// known, because the reply was lost. ErrNotFound if it had ended before, or never was. A
// program that holds a [Session] is granted another lease.
func (c *Client) AdminRevoke(ctx context.Context, owner, reason string) (removed int, err error) {
	if err := bus.ValidateOwner(owner); err != nil {
		return 0, err
	}
	if err := (Write{Reason: reason}).Validate(); err != nil {
		return 0, err
	}
	r := &request{subject: c.subjects.AdminRevoke(owner), idempotent: true, gone: ErrNotFound}
	a := c.send(ctx, r, Write{}, bus.AdminRevokeRequest{Reason: reason})
	if a.err != nil || a.reply == nil {
		return 0, a.err
	}
	var body bus.RevokeReply
	if err := decode(a.reply, &body); err != nil {
		return 0, c.unread(r, err)
	}
	return body.Removed, nil
}
