package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Proposals are values that are put to the vote under one name, one after the other. What
// becomes of each is decided once, stays so, and agrees with the votes: it is committed by
// the vote that reaches the quorum, and aborted when the quorum cannot be reached any more
// or its time has passed. Whoever proposed it may be gone by then.
//
// A commit says that the voters accepted, not that anybody has acted on it.
type Proposals struct{ object }

// Proposals returns the proposals of that name. It asks nobody.
func (c *Client) Proposals(namespace, name string) *Proposals {
	return &Proposals{c.object(bus.KindProposal, namespace, name)}
}

// Decision is what a proposal has come to.
type Decision string

// The decisions.
const (
	Voting    Decision = "voting" // it is not decided
	Committed Decision = "committed"
	Aborted   Decision = "aborted"
)

// Quorum is how many voters must accept. The zero value is the majority.
type Quorum struct{ of bus.Quorum }

// QuorumAll has all voters accept.
func QuorumAll() Quorum { return Quorum{bus.Quorum{All: true}} }

// QuorumOf has n voters accept.
func QuorumOf(n int) Quorum { return Quorum{bus.Quorum{N: n}} }

// ProposeOptions say who votes on a proposal, and how.
type ProposeOptions struct {
	// Voters are the owners who vote. They are fixed when it is proposed.
	Voters []string

	// Service, if it is given instead, has the owners of its live instances vote.
	Service Scope

	Quorum Quorum

	// Timeout is how long it is voted on; 0 leaves it to the registry. It begins anew with
	// every keeper.
	Timeout time.Duration
}

// Vote is what a voter has said.
type Vote struct {
	Owner  string
	Accept bool
	Reason string
}

// Proposal is a value that is or was put to the vote.
type Proposal struct {
	Namespace, Name string
	ID              string
	Proposer        string // owner
	Value           json.RawMessage
	Voters          []string // owners
	Quorum          int      // how many of them must accept
	Timeout         time.Duration
	Decision        Decision
	Reason          string // why it was aborted
	Votes           []Vote
}

func proposalOf(o bus.Object, b *bus.ProposalRecord) Proposal {
	p := Proposal{
		Namespace: o.Namespace, Name: o.Name,
		ID: b.ID, Proposer: b.Proposer, Value: b.Value, Voters: b.Voters, Quorum: b.Quorum,
		Timeout: time.Duration(b.TimeoutMs) * time.Millisecond, Decision: Decision(b.State), Reason: b.Reason,
	}
	for _, v := range b.Votes {
		p.Votes = append(p.Votes, Vote(v))
	}
	return p
}

// Propose puts value, any JSON of at most 4 KiB, to the vote, in the name of lease's owner.
// ErrExists while another one is voted on, ErrInvalid where there are no voters or fewer
// than the quorum. After ErrUnknownOutcome it may be voted on: [Proposals.Get] shows.
func (s *Proposals) Propose(ctx context.Context, lease *Lease, value json.RawMessage, o ProposeOptions) (Proposal, error) {
	return s.ProposeAs(ctx, lease.Owner(), value, o)
}

// ProposeAs is [Proposals.Propose] for the owner of a lease that somebody else keeps alive;
// see [WithSecrets].
func (s *Proposals) ProposeAs(ctx context.Context, owner string, value json.RawMessage, o ProposeOptions) (Proposal, error) {
	secret, err := s.secretOf(owner)
	if err != nil {
		return Proposal{}, err
	}
	body := bus.ProposeRequest{Lease: secret, Value: value, Voters: bus.Voters{Owners: o.Voters}, Quorum: o.Quorum.of}
	if o.Service != (Scope{}) {
		if len(o.Voters) > 0 {
			return Proposal{}, backend.Invalid("voters", "must not be given together with a service")
		}
		body.Voters.Service = &bus.VotingService{Namespace: o.Service.Namespace, Service: o.Service.Service}
	}
	if o.Timeout != 0 {
		body.TimeoutMs = new(o.Timeout.Milliseconds())
	}
	if err := body.Validate(); err != nil {
		return Proposal{}, err
	}
	r := &request{subject: s.subject(bus.VerbPropose)}
	a := s.c.send(ctx, r, Write{}, body)
	if a.err != nil {
		s.c.doubt(owner, a.err)
		return Proposal{}, a.err
	}
	var made bus.ProposalRecord
	if err := decode(a.reply, &made); err != nil {
		return Proposal{}, s.c.unread(r, err)
	}
	return proposalOf(s.name, &made), nil
}

// Vote votes on the proposal of that id, in the name of lease's owner. The first vote of an
// owner counts: ErrConflict where it was another. ErrNotOwner where the owner is no voter,
// ErrNotFound where the proposal is not remembered. A vote after the decision changes
// nothing; the proposal that is returned says what was decided.
func (s *Proposals) Vote(ctx context.Context, lease *Lease, id string, accept bool, reason string) (Proposal, error) {
	return s.VoteAs(ctx, lease.Owner(), id, accept, reason)
}

// VoteAs is [Proposals.Vote] for the owner of a lease that somebody else keeps alive; see
// [WithSecrets].
func (s *Proposals) VoteAs(ctx context.Context, owner, id string, accept bool, reason string) (Proposal, error) {
	var voted bus.ProposalRecord
	err := s.do(ctx, owner, bus.VerbVote, func(secret string) any {
		return bus.VoteRequest{Lease: secret, ID: id, Accept: &accept, Reason: reason}
	}, &voted)
	return proposalOf(s.name, &voted), err
}

// Get returns the proposal of that id, one of the last 16, or with "" the latest.
// ErrNotFound.
func (s *Proposals) Get(ctx context.Context, id string, read Read) (Proposal, Stamp, error) {
	var found bus.ProposalRecord
	stamp, err := s.get(ctx, read, func(f bus.Freshness) any {
		return bus.ProposalRequest{ID: id, Freshness: f}
	}, &found)
	return proposalOf(s.name, &found), stamp, err
}

// Wait returns the proposal of that id when it is decided, or with "" the one that is the
// latest when Wait is called. It goes on whatever becomes of the registry and of NATS, until
// ctx is over. ErrNotFound where it is not remembered.
func (s *Proposals) Wait(ctx context.Context, id string) (Proposal, error) {
	var decided Proposal
	take := func(p Proposal) error {
		if id == "" {
			id = p.ID
		}
		if p.ID == id && p.Decision != Voting {
			decided = p
			return errStopped
		}
		return nil
	}
	under, end, err := s.c.begin(ctx, 0)
	if err == nil {
		defer end()
		err = s.c.attend(under, &herald{
			kind: s.kind, subject: s.c.subjects.Announcement(s.kind, s.name),
			look: func(ctx context.Context, read Read) (Stamp, taking, error) {
				p, stamp, err := s.Get(ctx, id, read)
				return stamp, func(bool) error { return take(p) }, err
			},
			heard: func(a *announcement) error {
				all, err := a.proposals()
				if err != nil {
					return err
				}
				for _, p := range all {
					if err := take(p); err != nil {
						return err
					}
				}
				return nil
			},
		})
	}
	switch {
	case errors.Is(err, errStopped):
		return decided, nil
	case ctx.Err() != nil:
		return Proposal{}, fmt.Errorf("wait for %s: %w: %w", s, backend.ErrUnavailable, context.Cause(ctx))
	}
	return Proposal{}, fmt.Errorf("wait for %s: %w", s, err)
}

// proposals reads an announced record: the latest first.
func (a *announcement) proposals() (all []Proposal, err error) {
	var record bus.ProposalsRecord
	if err := json.Unmarshal(a.body, &record); a.body != nil && err != nil {
		return nil, fmt.Errorf("announcement of proposals %s: %w: %w", a.object, bus.ErrInternal, err)
	}
	if record.Latest != nil {
		all = append(all, proposalOf(a.object, record.Latest))
	}
	for i := len(record.Past) - 1; i >= 0; i-- {
		all = append(all, proposalOf(a.object, &record.Past[i]))
	}
	return all, nil
}
