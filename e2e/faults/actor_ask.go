package faults

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/history"
)

// ask sends d once: what is sent once is done once at the most, so that what is asked with
// it and what is released with the next request cannot come back.
func (a *Actor) ask(ctx context.Context, d history.Deed) (history.Finding, reply) {
	kind, name, _ := strings.Cut(d.Object, ".")
	verb, body, wait := a.request(d)
	r := a.wire().ask(ctx, a.Subjects.OfObject(bus.Kind(kind), verb, bus.Object{Namespace: "default", Name: name}), body, wait)
	switch {
	case r.fate != history.Done:
		return history.Finding{Fate: r.fate}, r
	case r.code != "":
		return history.Finding{Fate: fateOf(d, r.code)}, r
	}
	return found(d, r.data), r
}

func (a *Actor) wire() wire { return wire{a.Conn, a.Subjects} }

// fateOf says what became of what failed.
func fateOf(d history.Deed, code bus.Code) history.Fate {
	switch code {
	case bus.CodeTimeout:
		if d.Verb == history.Acquire {
			return history.Refused
		}
	case bus.CodeLeaseExpired:
		// What it was given, or where it stood, others may have seen before the lease ended.
		if d.Verb != history.Acquire && d.Verb != history.Campaign {
			return history.Undone
		}
	case bus.CodeUnavailable, bus.CodeLimitExceeded:
		return history.Undone
	case bus.CodeNotOwner, bus.CodeNotFound:
		if d.Verb == history.Transfer {
			return history.Undone
		}
	}
	return history.Unknown
}

// request returns the request of d, and for how long it waits.
func (a *Actor) request(d history.Deed) (bus.Verb, any, time.Duration) {
	if d.Verb == history.Read {
		return bus.VerbGet, struct{}{}, 0
	}
	user := bus.User{Lease: a.lease.Secret(), Holder: d.Holder}
	var w bus.Waiting
	wait := time.Duration(0)
	if a.Random.IntN(2) == 0 {
		wait = time.Duration(1+a.Random.IntN(250)) * time.Millisecond
		w.WaitMs = new(wait.Milliseconds())
	}
	kind, _, _ := strings.Cut(d.Object, ".")
	switch {
	case d.Verb == history.Release:
		return bus.VerbRelease, bus.ReleaseRequest{User: user}, 0
	case d.Verb == history.Resign:
		return bus.VerbResign, bus.ResignRequest{Lease: user.Lease}, 0
	case d.Verb == history.Transfer:
		return bus.VerbTransfer, bus.TransferRequest{Lease: user.Lease, To: d.To}, 0
	case d.Verb == history.Campaign:
		return bus.VerbCampaign, bus.CampaignRequest{Lease: user.Lease, Priority: int32(d.Priority), Waiting: w}, wait //nolint:gosec // small
	case kind == "semaphore":
		return bus.VerbAcquire, bus.SemaphoreRequest{User: user, Permits: &d.Has, Limit: d.Limit, Waiting: w}, wait
	}
	mode := bus.ModeExclusive
	if d.Has == 1 {
		mode = bus.ModeShared
	}
	return bus.VerbAcquire, bus.LockRequest{User: user, Mode: mode, Waiting: w}, wait
}

// found is what a reply says.
func found(d history.Deed, data []byte) history.Finding {
	f := history.Finding{Fate: history.Done}
	var err error
	kind, _, _ := strings.Cut(d.Object, ".")
	switch {
	case d.Verb == history.Acquire:
		var r bus.HeldReply
		err = json.Unmarshal(data, &r)
		f.Token = r.Token
	case d.Verb == history.Campaign:
		var r bus.CampaignReply
		err = json.Unmarshal(data, &r)
		if f.Token = r.Token; r.State == bus.StateLeader {
			f.Term = r.Term
		}
	case d.Verb == history.Read && kind == "election":
		var r bus.ElectionRecord
		err = json.Unmarshal(data, &r)
		f.Term, f.Token = r.Term, r.Token
		if r.Leader != nil {
			f.Leader = r.Leader.Owner
		}
		for _, c := range r.Candidates {
			f.Candidates = append(f.Candidates, c.Owner)
		}
	case d.Verb == history.Read:
		var r bus.QueueRecord
		err = json.Unmarshal(data, &r)
		f.Token = r.Token
		for _, h := range r.Holders {
			f.Holders = append(f.Holders, history.Party{Owner: h.Owner, Holder: h.Holder, Token: h.Token, Has: hasOf(&h)})
		}
	}
	if err != nil {
		return history.Finding{Fate: history.Unknown}
	}
	return f
}

// hasOf is how many permits a holder has.
func hasOf(p *bus.ObjectParty) int {
	switch p.Mode {
	case bus.ModeExclusive:
		return history.Exclusive
	case bus.ModeShared:
		return 1
	}
	return p.Permits
}
