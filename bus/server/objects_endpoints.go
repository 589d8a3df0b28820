package server

import (
	"context"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination"
)

// What requests about objects have in common, for people.
const (
	asUser = `"lease": "…", "holder": "…"`
	wait   = `"wait_ms": 30000`
	queue  = `{"token", "holders": [{"owner", "holder", …, "token"}], "waiters": […]}`
	vote   = `{"id", "proposer", "value", "voters": […], "quorum", "state": "voting"|"committed"|"aborted", "reason", "votes": […]}`
)

// of returns an endpoint of requests v about objects of a kind.
func (s *Server) of(kind bus.Kind, v bus.Verb, handle handler, about, request, reply string) *endpoint {
	return &endpoint{
		name: string(kind) + "-" + string(v), subject: s.subjects.Prefix() + "." + string(kind) + "." + string(v) + ".*.*",
		reads: v == bus.VerbGet, handle: handle, about: about, request: request, reply: reply,
	}
}

// with is of for requests that are made with a lease.
func with[Q any, P interface {
	*Q
	leased
}](s *Server, kind bus.Kind, v bus.Verb, do func(context.Context, *asked, *Q) (answer, error), about, request, reply string,
) *endpoint {
	return s.of(kind, v, made[Q, P](s, kind, v, do), about, request, reply)
}

// objectEndpoints returns everything that is answered about objects.
func (s *Server) objectEndpoints() (all []*endpoint) {
	c := &s.coordination
	if c.Elections != nil {
		const election = `{"leader": {"owner", "value"}, "term", "token", "candidates": […], "recent": […]}`
		all = append(all,
			with(s, bus.KindElection, bus.VerbCampaign, s.campaign, "be a candidate, or the leader",
				`{"lease": "…", "value": …, "priority": 0, `+wait+`}`, `{"state": "leader"|"candidate", "token", "term", "leader", "position"}`),
			with(s, bus.KindElection, bus.VerbResign, s.resign, "be a candidate no more", `{"lease": "…"}`, `{}`),
			with(s, bus.KindElection, bus.VerbTransfer, s.transfer, "have a candidate lead", `{"lease": "…", "to": "<owner>"}`, election))
		all = append(all, common(s, bus.KindElection, c.Elections, whole[coordination.Election], "the election", election)...)
	}
	if c.Locks != nil {
		all = append(all,
			with(s, bus.KindLock, bus.VerbAcquire, s.acquireLock, "hold a lock",
				"{"+asUser+`, "mode": "exclusive"|"shared", `+wait+"}", `{"state": "held", "token"}`),
			with(s, bus.KindLock, bus.VerbRelease, released(c.Locks.Release), "hold a lock no more", "{"+asUser+"}", queue))
		all = append(all, common(s, bus.KindLock, c.Locks, whole[coordination.Lock], "the lock", queue)...)
	}
	if c.Semaphores != nil {
		all = append(all,
			with(s, bus.KindSemaphore, bus.VerbAcquire, s.acquireSemaphore, "hold permits of a semaphore",
				"{"+asUser+`, "permits": 1, "limit": 10, `+wait+"}", `{"state": "held", "token"}`),
			with(s, bus.KindSemaphore, bus.VerbRelease, released(c.Semaphores.Release), "hold permits no more", "{"+asUser+"}", queue))
		all = append(all, common(s, bus.KindSemaphore, c.Semaphores, whole[coordination.Semaphore], "the semaphore", queue)...)
	}
	if c.Barriers != nil {
		const barrier = `{"done", "size", "parties": […]}`
		all = append(all,
			with(s, bus.KindBarrier, bus.VerbArrive, s.arrive, "wait for others at a barrier",
				"{"+asUser+`, "size": 3, "generation": 1, `+wait+"}", `{"generation", "released": true}`))
		all = append(all, common(s, bus.KindBarrier, c.Barriers, whole[coordination.Barrier], "the barrier", barrier)...)
	}
	if c.Proposals != nil {
		all = append(all,
			with(s, bus.KindProposal, bus.VerbPropose, s.propose, "put a value to the vote",
				`{"lease": "…", "value": …, "voters": ["<owner>"]|{"namespace", "service"}, "quorum": "majority"|"all"|2, "timeout_ms": 30000}`, vote),
			with(s, bus.KindProposal, bus.VerbVote, s.vote, "vote on a proposal", `{"lease": "…", "id": "…", "accept": true, "reason": "…"}`, vote))
		proposals := common(s, bus.KindProposal, c.Proposals, latest, "a proposal", vote)
		proposals[0].handle, proposals[0].request = s.proposal, `{"id": "…", `+freshness+"}"
		all = append(all, proposals...)
	}
	if c.Counters != nil {
		all = append(all,
			s.of(bus.KindCounter, bus.VerbAdd, s.add, "add to a counter", `{"delta": "-3"}`, `{"value": "39", "repeated": false}`),
			s.of(bus.KindCounter, bus.VerbGet, s.counter, "what a counter has come to", "{}", `{"value": "39"}`))
		all = append(all, s.lists(bus.KindCounter, s.names(bus.KindCounter, s.counters))...)
	}
	return all
}

// common returns the endpoints that every kind of records has, the request for one first.
// show returns what an operator's release says.
func common[T any](s *Server, kind bus.Kind, objects Objects[T], show func(*T) (any, error), what, reply string) []*endpoint {
	release := s.of(kind, bus.VerbRelease, cleared(s, kind, objects, show), "empty "+what+", whoever holds it", `{"reason": "…"}`, reply)
	release.name = "admin-release-" + string(kind)
	release.subject = s.subjects.Prefix() + ".admin.release." + string(kind) + ".*.*"
	return append([]*endpoint{
		s.of(kind, bus.VerbGet, record(s, kind, objects), "look at "+what, "{"+freshness+"}", reply), release,
	}, s.lists(kind, s.names(kind, objects.List))...)
}

// lists returns the endpoints of a kind's lists of names.
func (s *Server) lists(kind bus.Kind, handle handler) []*endpoint {
	list := endpoint{
		reads: true, about: "list names", handle: handle,
		request: "{" + paging + ", " + freshness + "}", reply: `{"names": [{"namespace", "name"}], "next": "…"}`,
	}
	name, subject := string(kind)+"-list", s.subjects.OfObjects(kind, "")
	return []*endpoint{list.at(name, subject), list.at(name+"-namespace", subject+".*")}
}
