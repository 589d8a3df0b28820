package client

import (
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// election makes one attempt at a request about an election.
func (o *office) election(verb, name string, m *nats.Msg, owner string, ticket int, over bool) (any, *bus.Error) {
	r := record[bus.ElectionRecord](o, bus.KindElection, name)
	at := slices.IndexFunc(r.Candidates, func(c bus.ObjectLeader) bool { return c.Owner == owner })
	leads := r.Leader != nil && r.Leader.Owner == owner
	switch verb {
	case "resign":
		o.leave(name, owner)
		return bus.ResignReply{}, nil
	case "transfer":
		to := decoded[bus.TransferRequest](o, m).To
		next := slices.IndexFunc(r.Candidates, func(c bus.ObjectLeader) bool { return c.Owner == to })
		if !leads || next < 0 {
			return nil, &bus.Error{Code: bus.CodeNotFound}
		}
		former := *r.Leader
		r.Candidates = slices.Clone(r.Candidates)
		r.Candidates[0], r.Candidates[next] = r.Candidates[next], r.Candidates[0]
		r.Leader = nil
		o.elect(name)
		r.Candidates = append(slices.Clone(r.Candidates), former)
		return *r, nil
	}
	q := decoded[bus.CampaignRequest](o, m)
	came := "campaign " + strconv.Itoa(ticket)
	if at < 0 && !leads {
		if o.counted[came] { // and was taken out
			return nil, &bus.Error{Code: bus.CodeTimeout}
		}
		r.Candidates = append(slices.Clone(r.Candidates), bus.ObjectLeader{Owner: owner, Value: q.Value, Priority: int(q.Priority)})
		o.commit(bus.KindElection, name)
		if r.Leader == nil {
			o.elect(name)
		}
		leads = r.Leader.Owner == owner
	}
	o.counted[came] = true
	switch {
	case leads:
		return bus.CampaignReply{State: bus.StateLeader, Term: r.Term, Token: r.Token}, nil
	case over:
		return bus.CampaignReply{State: bus.StateCandidate, Term: r.Term}, nil
	}
	return nil, &bus.Error{Code: bus.CodeTimeout}
}

// leave takes owner out of an election.
func (o *office) leave(name, owner string) {
	r := record[bus.ElectionRecord](o, bus.KindElection, name)
	r.Candidates = slices.DeleteFunc(slices.Clone(r.Candidates), func(c bus.ObjectLeader) bool { return c.Owner == owner })
	if r.Leader != nil && r.Leader.Owner == owner {
		r.Leader = nil
		o.elect(name)
	}
}

// elect has the first candidate lead, if there is one, and commits.
func (o *office) elect(name string) {
	r := record[bus.ElectionRecord](o, bus.KindElection, name)
	if len(r.Candidates) > 0 {
		next := r.Candidates[0]
		r.Leader, r.Candidates = &next, slices.Clone(r.Candidates[1:])
		r.Term++
		r.Token = o.token()
		r.Recent = append(slices.Clone(r.Recent), bus.Leadership{Term: r.Term, Owner: next.Owner, Token: r.Token})
		r.Recent = r.Recent[max(len(r.Recent)-16, 0):]
	}
	o.commit(bus.KindElection, name)
}

// queue makes one attempt at a request about a lock; of a semaphore it knows the same.
func (o *office) queue(kind bus.Kind, verb, name string, m *nats.Msg, owner, holder string, ticket int, over bool) (any, *bus.Error) {
	r := record[officeQueue](o, kind, name)
	if r.tickets == nil {
		r.tickets = map[string]int{}
	}
	mine := func(p bus.ObjectParty) bool { return p.Owner == owner && p.Holder == holder }
	id := owner + holder
	if verb == "release" {
		before := len(r.Holders) + len(r.Waiters)
		r.Holders = slices.DeleteFunc(slices.Clone(r.Holders), mine)
		r.Waiters = slices.DeleteFunc(slices.Clone(r.Waiters), mine)
		r.tickets[id] = o.tickets // whatever waits for it has ended
		if len(r.Holders)+len(r.Waiters) != before {
			o.advance(kind, name)
		}
		return r.QueueRecord, nil
	}
	q := decoded[bus.LockRequest](o, m)
	at := slices.IndexFunc(r.Waiters, mine)
	switch held := slices.IndexFunc(r.Holders, mine); {
	case held >= 0:
		return bus.HeldReply{State: bus.StateHeld, Token: r.Holders[held].Token}, nil
	case at < 0 && r.tickets[id] >= ticket: // it was there and was taken out
		return nil, &bus.Error{Code: bus.CodeTimeout}
	case at < 0 && over && len(r.Holders) > 0:
		return nil, &bus.Error{Code: bus.CodeTimeout}
	case at < 0:
		r.tickets[id] = ticket
		r.Waiters = append(slices.Clone(r.Waiters), bus.ObjectParty{Owner: owner, Holder: holder, Mode: q.Mode})
		o.advance(kind, name)
		return o.queue(kind, verb, name, m, owner, holder, ticket, over)
	case over && r.tickets[id] == ticket:
		r.Waiters = slices.Delete(slices.Clone(r.Waiters), at, at+1)
		o.advance(kind, name)
	case r.tickets[id] < ticket:
		r.tickets[id] = ticket // a repeat takes the place
	}
	return nil, &bus.Error{Code: bus.CodeTimeout}
}

// advance serves from the head of the queue, and commits.
func (o *office) advance(kind bus.Kind, name string) {
	r := record[officeQueue](o, kind, name)
	token := o.token()
	for len(r.Waiters) > 0 {
		next := r.Waiters[0]
		if len(r.Holders) > 0 && (next.Mode != bus.ModeShared || r.Holders[0].Mode != bus.ModeShared) {
			break
		}
		next.Token = token
		r.Token, r.Holders, r.Waiters = token, append(slices.Clone(r.Holders), next), slices.Clone(r.Waiters[1:])
	}
	o.commit(kind, name)
}

// arrive makes one attempt at an arrival.
func (o *office) arrive(name string, m *nats.Msg, owner, holder string, ticket int, over bool) (any, *bus.Error) {
	r := record[officeBarrier](o, bus.KindBarrier, name)
	if r.tickets == nil {
		r.tickets = map[string]int{}
	}
	q := decoded[bus.ArriveRequest](o, m)
	id := owner + holder
	at := slices.IndexFunc(r.Parties, func(p bus.ObjectParty) bool { return p.Owner == owner && p.Holder == holder })
	came := r.tickets[strconv.Itoa(ticket)] // the generation that this very request came in
	switch {
	case q.Generation != 0 && q.Generation <= r.Done:
		return bus.ArriveReply{Generation: q.Generation, Released: true}, nil
	case came != 0 && uint64(came) <= r.Done:
		return bus.ArriveReply{Generation: uint64(came), Released: true}, nil
	case over && at >= 0 && (came == 0 || r.tickets[id] == ticket):
		r.Parties = slices.Delete(slices.Clone(r.Parties), at, at+1)
		o.commit(bus.KindBarrier, name)
		return nil, &bus.Error{Code: bus.CodeTimeout}
	case over || came != 0:
		return nil, &bus.Error{Code: bus.CodeTimeout}
	}
	r.tickets[id], r.tickets[strconv.Itoa(ticket)] = ticket, int(r.Done)+1
	if at < 0 {
		r.Parties = append(slices.Clone(r.Parties), bus.ObjectParty{Owner: owner, Holder: holder})
	}
	if r.Size = q.Size; len(r.Parties) == q.Size {
		r.Done, r.Parties, r.Size = r.Done+1, nil, 0
		o.commit(bus.KindBarrier, name)
		return bus.ArriveReply{Generation: r.Done, Released: true}, nil
	}
	o.commit(bus.KindBarrier, name)
	return nil, &bus.Error{Code: bus.CodeTimeout}
}

// proposal makes one attempt at a propose or a vote.
func (o *office) proposal(verb, name string, m *nats.Msg, owner string) (any, *bus.Error) {
	r := record[bus.ProposalsRecord](o, bus.KindProposal, name)
	if verb == "propose" {
		q := decoded[bus.ProposeRequest](o, m)
		if r.Latest != nil {
			r.Past = append(slices.Clone(r.Past), *r.Latest)
		}
		r.Latest = &bus.ProposalRecord{
			ID: strconv.FormatUint(o.revision, 10), Proposer: owner, Value: q.Value, Voters: q.Voters.Owners,
			Quorum: q.Quorum.Of(len(q.Voters.Owners)), TimeoutMs: 1000, State: string(Voting),
		}
		o.commit(bus.KindProposal, name)
		return r.Latest, nil
	}
	q := decoded[bus.VoteRequest](o, m)
	p := *r.Latest
	p.Votes = append(slices.Clone(p.Votes), bus.Ballot{Owner: owner, Accept: *q.Accept, Reason: q.Reason})
	yes := 0
	for _, v := range p.Votes {
		if v.Accept {
			yes++
		}
	}
	switch {
	case yes >= p.Quorum:
		p.State = string(Committed)
	case yes+len(p.Voters)-len(p.Votes) < p.Quorum:
		p.State, p.Reason = string(Aborted), "refused"
	}
	r.Latest = &p
	o.commit(bus.KindProposal, name)
	return r.Latest, nil
}

// ends ends a lease, and with it what it leads.
func (o *office) ends(l *Lease) {
	o.keeper.set(func() { o.expire(l.Secret()) })
	o.sweep()
}

// sweep takes everybody out of elections whose lease has ended.
func (o *office) sweep() {
	live := map[string]bool{}
	o.keeper.set(func() {
		for secret := range o.live {
			live[bus.Owner(secret)] = true
		}
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.records {
		r, ok := o.records[key].(*bus.ElectionRecord)
		if !ok {
			continue
		}
		for _, one := range append(slices.Clone(r.Candidates), deref(r.Leader)) {
			if one.Owner != "" && !live[one.Owner] {
				o.leave(key[len("election."):], one.Owner)
			}
		}
	}
}

func deref(l *bus.ObjectLeader) bus.ObjectLeader {
	if l == nil {
		return bus.ObjectLeader{}
	}
	return *l
}
