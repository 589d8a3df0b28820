package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// accepts says what an owner votes on a proposal.
func accepts(id, owner string) bool {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(id + " " + owner))
	return sum.Sum32()%4 > 0
}

// electorate are the owners who vote, by their clients.
type electorate struct {
	mu     sync.Mutex
	owners map[int]string
}

func (e *electorate) set(number int, owner string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.owners == nil {
		e.owners = map[int]string{}
	}
	if e.owners[number] = owner; owner == "" {
		delete(e.owners, number)
	}
}

func (e *electorate) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Values(e.owners))
}

// vote has one voter after another vote on whatever it is asked, for some seconds each.
func (p *troupe) vote(ctx context.Context, e *electorate) {
	p.leased(ctx, func(ctx context.Context, lease *client.Lease) {
		life := &Life{Owner: lease.Owner()}
		add(p.log, &p.log.lives, life)
		life.sure(p.log, lease)
		e.set(p.number, lease.Owner())
		living, end := context.WithTimeout(ctx, 4*time.Second+time.Duration(p.random(int64(12*time.Second))))
		defer end()
		var samples sync.WaitGroup
		defer samples.Wait()
		samples.Go(func() {
			for living.Err() == nil && lease.Err() == nil {
				life.sure(p.log, lease)
				pause(living, sampling)
			}
		})
		_ = client.Voter{Lease: lease, Decide: func(_ context.Context, m client.Proposal) (bool, string, error) {
			return accepts(m.ID, lease.Owner()), "", nil
		}}.Run(living, p.c)
		e.set(p.number, "")
		end()
		samples.Wait()
		p.log.mu.Lock()
		now := p.log.now()
		life.cut(now)
		life.Gone = now
		p.log.mu.Unlock()
	})
}

// motionTime is for how long it is voted at the most.
const motionTime = 3 * time.Second

// propose has one proposal after another voted on.
func (p *troupe) propose(ctx context.Context, e *electorate) {
	n := 0
	p.leased(ctx, func(ctx context.Context, lease *client.Lease) {
		for ctx.Err() == nil && lease.Err() == nil {
			pauseUpTo(ctx, 200*time.Millisecond, p.random)
			voters := e.all()
			if len(voters) < 3 {
				continue
			}
			n++
			name := "votes" + p.life()
			all := p.c.Proposals(client.DefaultNamespace, name)
			quorum := []client.Quorum{{}, client.QuorumAll(), client.QuorumOf(2)}[p.random(3)]
			value, _ := json.Marshal(fmt.Sprintf("%d-%d", p.number, n)) // of a string
			proposed := p.log.now()
			m, err := all.Propose(ctx, lease, value, client.ProposeOptions{Voters: voters, Quorum: quorum, Timeout: motionTime})
			if err != nil {
				if !errors.Is(err, client.ErrExists) {
					pause(ctx, 100*time.Millisecond)
				}
				continue
			}
			bounded, cancel := context.WithTimeout(ctx, 2*motionTime)
			if m, err = all.Wait(bounded, m.ID); err == nil {
				now := p.log.now() // it may have been decided for long, but not before it was proposed
				add(p.log, &p.log.motions, Motion{Proposal: m, Object: "proposal." + name, Announced: 0, Proposed: proposed, Call: proposed, Return: now})
			}
			cancel()
		}
	})
}

// audit looks at proposals again and again.
func (p *troupe) audit(ctx context.Context) {
	ids := []string{""}
	for ctx.Err() == nil {
		pauseUpTo(ctx, 200*time.Millisecond, p.random)
		name := "votes" + p.life()
		m := Motion{Object: "proposal." + name, Call: p.log.now()}
		var err error
		m.Proposal, _, err = p.c.Proposals(client.DefaultNamespace, name).Get(ctx, ids[p.random(int64(len(ids)))], client.Read{Consistency: client.Linearizable})
		if m.Return = p.log.now(); err != nil {
			continue
		}
		add(p.log, &p.log.motions, m)
		if !slices.Contains(ids, m.ID) {
			ids = append(ids[max(0, len(ids)-8):], m.ID, "")
		}
	}
}

// hearMotions notes what is announced of proposals, until the test ends.
func hearMotions(tb testing.TB, nc *nats.Conn, s bus.Subjects, log *Log) {
	tb.Helper()
	_, err := nc.Subscribe(s.Announcements(bus.KindProposal, client.DefaultNamespace), func(m *nats.Msg) {
		var r bus.ProposalsRecord
		if len(m.Data) == 0 || json.Unmarshal(m.Data, &r) != nil || r.Latest == nil {
			return
		}
		object, err := s.ParseAnnouncement(bus.KindProposal, m.Subject)
		revision, _ := strconv.ParseUint(m.Header.Get(bus.HeaderSequence), 10, 64)
		if err != nil {
			log.Wrongf("announcement at %s: %v", m.Subject, err)
			return
		}
		l := r.Latest
		one := client.Proposal{
			ID: l.ID, Proposer: l.Proposer, Voters: l.Voters, Quorum: l.Quorum, Decision: client.Decision(l.State), Reason: l.Reason,
			Timeout: time.Duration(l.TimeoutMs) * time.Millisecond,
		}
		for _, v := range l.Votes {
			one.Votes = append(one.Votes, client.Vote(v))
		}
		now := log.now()
		add(log, &log.motions, Motion{Proposal: one, Object: "proposal." + object.Name, Announced: client.Revision(revision), Call: now, Return: now})
	})
	if err != nil {
		tb.Fatal(err)
	}
}
