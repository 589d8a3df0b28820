package client

import (
	"context"
	"encoding/json"

	"github.com/roostbus/roost/bus"
)

// Election decides which of several candidates leads. Of those with the highest priority
// the first to come leads, until it resigns, passes the role on, or its lease ends; nobody
// is pushed out. Every change of the leader begins another term, whose token is greater.
//
// At most one leader is in the record at any moment. That at most one process acts as
// leader at any moment nobody can promise: see [Token].
type Election struct{ object }

// Election returns the election of that name. It asks nobody.
func (c *Client) Election(namespace, name string) *Election {
	return &Election{c.object(bus.KindElection, namespace, name)}
}

// Leader is who leads.
type Leader struct {
	// Owner is "" while nobody leads; Term and Token are then those of who did last.
	Owner string
	// Value is what the leader says about itself, any JSON. Of a leadership that is over
	// already it is not known.
	Value json.RawMessage
	Term  uint64
	Token Token
}

// Candidate is who would lead.
type Candidate struct {
	Owner    string
	Value    json.RawMessage
	Priority int
}

// Term is a leadership that was, or is.
type Term struct {
	Number uint64
	Owner  string
	Token  Token
}

// ElectionRecord is what the registry knows of an election.
type ElectionRecord struct {
	Leader     Leader
	Candidates []Candidate // in the order in which they would lead
	Recent     []Term      // the newest 16, the newest last
}

func electionOf(b *bus.ElectionRecord) ElectionRecord {
	r := ElectionRecord{Leader: Leader{Term: b.Term, Token: Token(b.Token)}}
	if b.Leader != nil {
		r.Leader.Owner, r.Leader.Value = b.Leader.Owner, b.Leader.Value
	}
	for _, one := range b.Candidates {
		r.Candidates = append(r.Candidates, Candidate{one.Owner, one.Value, one.Priority})
	}
	for _, one := range b.Recent {
		r.Recent = append(r.Recent, Term{Number: one.Term, Owner: one.Owner, Token: Token(one.Token)})
	}
	return r
}

// Get returns who leads and who would. An election that nobody has taken part in is there
// as well. The answer may be old when it arrives; to stay informed use [Election.Observe].
func (e *Election) Get(ctx context.Context, read Read) (ElectionRecord, Stamp, error) {
	var record bus.ElectionRecord
	stamp, err := e.get(ctx, read, plainly, &record)
	return electionOf(&record), stamp, err
}

// Resign takes lease's owner out of the election, whether it leads or is a candidate. One
// who takes no part changes nothing. A leader who has a [Leadership] uses its Resign. A
// Campaign that is under way would make it a candidate again: end its context before.
func (e *Election) Resign(ctx context.Context, lease *Lease) error {
	return e.ResignAs(ctx, lease.Owner())
}

// ResignAs is [Election.Resign] for the owner of a lease that somebody else keeps alive; see
// [WithSecrets].
func (e *Election) ResignAs(ctx context.Context, owner string) error {
	return e.do(ctx, owner, bus.VerbResign, func(secret string) any { return bus.ResignRequest{Lease: secret} }, nil)
}

// Transfer has the candidate to lead instead of lease's owner, who becomes a candidate.
// ErrNotFound where to is no candidate, ErrNotOwner where lease's owner does not lead; who
// sent it twice because a reply was lost may be told that.
func (e *Election) Transfer(ctx context.Context, lease *Lease, to string) (ElectionRecord, error) {
	var record bus.ElectionRecord
	err := e.do(ctx, lease.Owner(), bus.VerbTransfer, func(secret string) any {
		return bus.TransferRequest{Lease: secret, To: to}
	}, &record)
	return electionOf(&record), err
}
