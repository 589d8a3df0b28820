package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
)

// deadline returns the context of r, which has been checked.
func (h *hours) deadline(base context.Context, r *request) (ctx context.Context, end func()) {
	d := &deadline{parent: base, at: r.received.Add(r.timeout)}
	return d, d.end
}

func parseGrant(r *request) (clock.Request, error) {
	var q bus.GrantRequest
	if err := decode(r.data, &q); err != nil {
		return clock.Request{}, err
	}
	if err := q.Validate(); err != nil {
		return clock.Request{}, err
	}
	asked := clock.Request{
		Owner: bus.Owner(q.Lease), Name: q.Name, Connection: connection(q.Connection),
		TTL: duration(q.TTLMs, lease.DefaultTTL), Grace: duration(q.GraceMs, lease.DefaultGrace),
	}
	return asked, lease.Validate(asked.TTL, asked.Grace) // also of one that lives and keeps its own
}

// duration returns so many milliseconds. What is too long for a Duration is too long for
// whoever is given it, too.
func duration(ms *int64, absent time.Duration) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	if ms == nil {
		return absent
	}
	return time.Duration(min(max(*ms, -most), most)) * time.Millisecond
}

// grantAgain answers a grant of a lease that lives, which is a keepalive: like one it is
// heard before anything that came later.
func (h *hours) grantAgain(_ context.Context, r *request) (answer, error) {
	if err := h.check(r); err != nil {
		return answer{}, err
	}
	q, err := parseGrant(r)
	if err != nil {
		return answer{}, err
	}
	beat, known := h.clock.Touch(q.Owner, q.Connection)
	if !known {
		return answer{}, errMayWait
	}
	return granted(q.Owner, beat)
}

func (h *hours) grant(ctx context.Context, r *request) (answer, error) {
	q, err := parseGrant(r)
	if err != nil {
		return answer{}, err
	}
	before := h.stamps.orSeen(backend.Stamp{})
	beat, err := h.clock.Grant(ctx, q)
	if err != nil {
		return answer{}, err
	}
	h.look(ctx) // what is said of an earlier grant is as of now
	a, err := granted(q.Owner, beat)
	a.stamp = at(before, beat.Revision)
	return a, err
}

func granted(owner string, beat clock.Beat) (answer, error) {
	body, err := encode(bus.GrantReply{
		Owner: owner, TTLMs: beat.TTL.Milliseconds(), GraceMs: beat.Grace.Milliseconds(), Term: beat.Term,
	})
	return answer{body: body}, err
}

func (h *hours) revoke(ctx context.Context, r *request) (answer, error) {
	var q bus.RevokeRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Validate(); err != nil {
		return answer{}, err
	}
	return h.revokeOf(ctx, bus.Owner(q.Lease), backend.ReasonRevoked)
}

// adminRevoke ends whatever lease is named. Who may ask for it is the business of NATS
// permissions.
func (h *hours) adminRevoke(ctx context.Context, r *request) (answer, error) {
	owner, err := h.subjects.ParseAdminRevoke(r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.AdminRevokeRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	reason := backend.Write{Reason: q.Reason}
	if err := reason.Validate(); err != nil {
		return answer{}, err
	}
	if reason.Reason == "" {
		reason.Reason = backend.ReasonAdmin
	}
	a, err := h.revokeOf(ctx, owner, reason.Reason)
	if errors.Is(err, backend.ErrLeaseExpired) {
		err = fmt.Errorf("lease of %s: %w", owner, backend.ErrNotFound)
	}
	return a, err
}

// revokeOf ends owner's lease. What it owns is counted before, since nothing of it is there
// afterwards, and when this node has seen all of it.
func (h *hours) revokeOf(ctx context.Context, owner, reason string) (answer, error) {
	// A store that does not answer does not keep the end from being tried.
	_, _, _ = h.b.List(ctx, backend.Query{Limit: 1, Read: backend.Read{Consistency: backend.Linearizable}})
	removed := h.owned(owner)
	before := h.stamps.orSeen(backend.Stamp{})
	revision, err := h.clock.Revoke(ctx, owner, reason)
	if err != nil {
		return answer{}, err
	}
	body, err := encode(bus.RevokeReply{Removed: removed})
	return answer{body: body, stamp: at(before, revision)}, err
}

// at returns the stamp of a write that made a revision, by a request before which a node had
// seen before: the epoch may have changed meanwhile, and must not be a later one than that
// of the revision. The zero stamp, which says nothing, where there is none to be said.
func at(before backend.Stamp, revision uint64) backend.Stamp {
	if before.Epoch == 0 || revision == 0 {
		return backend.Stamp{}
	}
	return backend.Stamp{Epoch: before.Epoch, Revision: backend.Revision(revision)}
}

func (h *hours) get(ctx context.Context, r *request) (answer, error) {
	owner, err := h.subjects.ParseLeaseGet(r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.LeaseRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	stamp, err := h.fresh(ctx, r, q.Freshness)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	status, err := h.clock.Get(ctx, owner)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	body, err := encode(h.described(&status))
	return answer{body: body, stamp: stamp}, err
}

// described returns a lease as the wire shows it.
func (h *hours) described(s *clock.Status) bus.Lease {
	return bus.Lease{
		Owner: s.Owner, Name: s.Name, TTLMs: s.TTL.Milliseconds(), RemainingMs: max(s.Remaining, 0).Milliseconds(),
		State: string(s.State), Registrations: h.owned(s.Owner), GrantedAt: bus.Instant(s.GrantedAt),
	}
}

// fresh returns when the node has seen what f asks for, and how far it has come then. The
// lease itself is looked at after that, and as linearizably as can be.
func (h *hours) fresh(ctx context.Context, r *request, f bus.Freshness) (backend.Stamp, error) {
	read, err := r.read(f, nil)
	if err != nil {
		return backend.Stamp{}, err
	}
	read.Consistency = backend.Local
	_, stamp, err := h.b.List(ctx, backend.Query{Limit: 1, Read: read})
	return stamp, err
}

func (h *hours) list(ctx context.Context, r *request) (answer, error) {
	var q bus.LeasesRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	limit := backend.DefaultListLimit
	if q.Limit != nil {
		if limit = *q.Limit; limit < 1 || limit > backend.DefaultListLimit {
			return answer{}, backend.Invalid("limit", "is %d, must be 1 to %d", limit, backend.DefaultListLimit)
		}
	}
	if q.After != "" && bus.ValidateOwner(q.After) != nil {
		return answer{}, backend.Invalid("after", "%.40q is not from the reply before", q.After)
	}
	stamp, err := h.fresh(ctx, r, q.Freshness)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	all, err := h.after(ctx, q.After, limit+1)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	body, err := h.page(all, limit)
	return answer{body: body, stamp: stamp}, err
}

// after returns the first n leases whose owners come after owner. The Clock leaves out what
// ends while it looks, so that fewer than were asked for need not be the last.
func (h *hours) after(ctx context.Context, owner string, n int) ([]clock.Status, error) {
	var all []clock.Status
	for len(all) < n {
		more, err := h.clock.List(ctx, owner, n-len(all))
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			break
		}
		all = append(all, more...)
		owner = more[len(more)-1].Owner
	}
	return all, nil
}

// page encodes the first of all, limit and what fits into a reply, and where the rest
// begins.
func (h *hours) page(all []clock.Status, limit int) ([]byte, error) {
	body, budget := []byte(`{"leases":[`), h.pageBudget()
	n := 0
	for ; n < min(len(all), limit); n++ {
		one, err := encode(h.described(&all[n]))
		if err != nil {
			return nil, err
		}
		if n > 0 && len(body)+1+len(one) > budget {
			break
		}
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, one...)
	}
	body = append(body, ']')
	if n < len(all) {
		body = append(append(append(body, `,"next":"`...), all[n-1].Owner...), '"')
	}
	return append(body, '}'), nil
}
