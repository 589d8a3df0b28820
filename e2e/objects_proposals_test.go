package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/modules/config"
)

// agrees fails unless what became of a proposal is what its votes say. ended are voters
// whose leases have.
func agrees(t *testing.T, p *client.Proposal, ended ...string) {
	t.Helper()
	accepted, refused := 0, 0
	voted := map[string]bool{}
	for _, v := range p.Votes {
		if voted[v.Owner] || !slices.Contains(p.Voters, v.Owner) {
			t.Errorf("%s has voted twice, or is no voter: %+v", v.Owner, p)
		}
		voted[v.Owner] = true
		if v.Accept {
			accepted++
		} else {
			refused++
		}
	}
	for _, owner := range ended {
		if slices.Contains(p.Voters, owner) && !voted[owner] {
			refused++
		}
	}
	switch possible := len(p.Voters) - refused; {
	case p.Decision == client.Committed && (accepted < p.Quorum || p.Reason != ""):
		t.Errorf("committed by %d of %d: %+v", accepted, p.Quorum, p)
	case p.Decision == client.Aborted && p.Reason == "refused" && (accepted >= p.Quorum || possible >= p.Quorum):
		t.Errorf("aborted although %d had accepted and %d could have, of %d: %+v", accepted, possible, p.Quorum, p)
	case p.Decision == client.Voting && (accepted >= p.Quorum || possible < p.Quorum):
		t.Errorf("still voted on with %d accepted, %d possible, of %d: %+v", accepted, possible, p.Quorum, p)
	}
}

// ballotBox is a name under which is proposed, and everything that is announced of it.
type ballotBox struct {
	*client.Proposals

	of    string // its name
	heard *announced[bus.ProposalsRecord]
}

func ballotBoxAt(t *testing.T, url, name string) *ballotBox {
	t.Helper()
	return &ballotBox{lookerAt(t, url).Proposals("default", name), name, hearRecords[bus.ProposalsRecord](t, url, "proposal", "default."+name)}
}

// decided returns what all who read see: who waits, who gets by its id, and who hears what
// is announced, once.
func (b *ballotBox) decided(t *testing.T, id string) client.Proposal {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := b.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	b.reads(t, b.Proposals, &p)
	b.heard.await(t, "announcement of the outcome", func(r bus.ProposalsRecord) bool {
		return r.Latest != nil && r.Latest.ID == id && r.Latest.State != "voting"
	})
	b.heard.mu.Lock()
	defer b.heard.mu.Unlock()
	times := 0
	for _, r := range b.heard.records {
		if r.Latest != nil && r.Latest.ID == id && r.Latest.State != "voting" {
			times++
			if got := r.Latest.State; got != string(p.Decision) || len(r.Latest.Votes) != len(p.Votes) {
				t.Errorf("%s with %d votes was announced; want %+v", got, len(r.Latest.Votes), p)
			}
		}
	}
	if times != 1 {
		t.Errorf("the outcome was announced %d times", times)
	}
	return p
}

// reads fails unless a reader sees p.
func (b *ballotBox) reads(t *testing.T, by *client.Proposals, p *client.Proposal) {
	t.Helper()
	got, _, err := by.Get(t.Context(), p.ID, linearizably)
	if diff := cmp.Diff(*p, got); err != nil || diff != "" {
		t.Errorf("read again (-before +now): %v\n%s", err, diff)
	}
}

// voter is one with a client of its own.
type voter struct {
	c     *client.Client
	lease *client.Lease
}

func votersAt(t *testing.T, url string, n int, grace time.Duration) (voters []voter, owners []string) {
	t.Helper()
	for range n {
		v := voter{c: lookerAt(t, url, client.WithWriteTimeout(patience))}
		var err error
		if v.lease, err = v.c.Grant(t.Context(), client.LeaseOptions{TTL: time.Minute, Grace: &grace}); err != nil {
			t.Fatal(err)
		}
		voters, owners = append(voters, v), append(owners, v.lease.Owner())
	}
	return voters, owners
}

// C7: three, four and five voters with every quorum, who accept, refuse, repeat what they
// said, change their minds, come late, or die, and whose coordinator dies once it has
// proposed. What becomes of it is what they said, for everybody.
func TestWhatBecomesOfAProposalIsWhatItsVotersSaidWhoeverDies(t *testing.T) {
	t.Parallel()
	repeats := 8
	if testing.Short() {
		repeats = 1
	}
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	for count := 3; count <= 5; count++ {
		for quorum := 1; quorum <= count; quorum++ {
			for repeat := range repeats {
				b := ballotBoxAt(t, n.url, fmt.Sprintf("p-%d-%d-%d", count, quorum, repeat))
				voters, owners := votersAt(t, n.url, count, 0)
				coordinator, _ := votersAt(t, n.url, 1, 0)
				p, err := b.by(coordinator[0]).Propose(t.Context(), coordinator[0].lease, json.RawMessage(`{"shards":16}`),
					client.ProposeOptions{Voters: owners, Quorum: client.QuorumOf(quorum), Timeout: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				_ = coordinator[0].c.Close() // killed

				accepts := 0
				does := make([]int, count)
				var ended []string
				for i, v := range voters {
					if does[i] = rand.N(6); does[i] < 3 {
						accepts++
					} else if does[i] > 3 {
						ended = append(ended, v.lease.Owner())
					}
				}
				var voting sync.WaitGroup
				for i, v := range voters {
					voting.Go(func() {
						switch does[i] {
						case 4:
							_ = v.c.Close() // and its lease has no grace
						case 5:
							if _, err := look.AdminRevoke(t.Context(), v.lease.Owner(), "ended"); err != nil {
								t.Error(err)
							}
						default:
							v.says(t, b, p.ID, does[i] < 3, ended)
						}
					})
				}
				voting.Wait()
				got := b.decided(t, p.ID)
				agrees(t, &got, ended...)
				if want := map[bool]client.Decision{true: client.Committed, false: client.Aborted}[accepts >= quorum]; got.Decision != want {
					t.Errorf("%d of %d accepted, %d have died, the quorum is %d: %s", accepts, count, len(ended), quorum, got.Decision)
				}
				for _, v := range voters { // a late vote gets what was decided
					if late, err := b.by(v).Vote(t.Context(), v.lease, p.ID, true, "late"); err == nil {
						if diff := cmp.Diff(got, late, cmpopts.EquateEmpty()); diff != "" {
							t.Errorf("a late vote (-decided +told):\n%s", diff)
						}
					} else if !slices.Contains(ended, v.lease.Owner()) && !errors.Is(err, backend.ErrConflict) {
						t.Errorf("a late vote: %v", err)
					}
				}
				again := b.decided(t, p.ID)
				if diff := cmp.Diff(got, again); diff != "" {
					t.Errorf("what was decided has changed (-before +now):\n%s", diff)
				}
				for _, v := range voters {
					_ = v.c.Close()
				}
			}
		}
	}
}

// says has v vote, and say so twice. What it says then does not count, unless it was
// decided already.
func (v *voter) says(t *testing.T, b *ballotBox, id string, accept bool, ended []string) {
	p := b.by(*v)
	for range 2 {
		got, err := p.Vote(t.Context(), v.lease, id, accept, "as I said")
		if err != nil {
			t.Errorf("vote: %v", err)
			return
		}
		if got.Decision != client.Voting { // they may yet die
			agrees(t, &got, ended...)
		}
	}
	switch got, err := p.Vote(t.Context(), v.lease, id, !accept, ""); {
	case err == nil && got.Decision == client.Voting:
		t.Errorf("a different second vote: %+v", got)
	case err != nil && !errors.Is(err, backend.ErrConflict):
		t.Errorf("a different second vote: %v", err)
	}
}

// C7: many propose under one name at once, of whom some die at once; voters vote on what
// comes. At most one is voted on at a time, and each has one outcome.
func TestRivalProposalsAreVotedOnOneAfterTheOther(t *testing.T) {
	t.Parallel()
	rounds, rivals := 15, 6
	if testing.Short() {
		rounds = 4
	}
	n := singleNode(t, 1)
	b := ballotBoxAt(t, n.url, "rivals")
	voters, owners := votersAt(t, n.url, 3, time.Minute)
	ctx, end := context.WithCancel(t.Context())
	var voting sync.WaitGroup
	defer voting.Wait()
	defer end()
	for i, v := range voters {
		voting.Go(func() {
			decides := client.Voter{Lease: v.lease, Namespace: "default", Decide: func(_ context.Context, p client.Proposal) (bool, string, error) {
				var value int
				err := json.Unmarshal(p.Value, &value)
				return value%2 == 0 || i == 0, "", err
			}}
			if err := decides.Run(ctx, v.c); err != nil {
				t.Errorf("voter: %v", err)
			}
		})
	}
	for round := range rounds {
		var mu sync.Mutex
		var made []client.Proposal
		var proposing sync.WaitGroup
		for range rivals {
			one, _ := votersAt(t, n.url, 1, 0)
			proposing.Go(func() {
				p, err := one[0].c.Proposals("default", "rivals").Propose(t.Context(), one[0].lease, json.RawMessage(fmt.Sprint(round)),
					client.ProposeOptions{Voters: owners, Timeout: time.Hour})
				_ = one[0].c.Close()
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made = append(made, p)
				} else if !errors.Is(err, backend.ErrExists) {
					t.Errorf("propose: %v", err)
				}
			})
		}
		proposing.Wait()
		if len(made) == 0 {
			t.Errorf("round %d: none of %d rivals could propose", round, rivals)
		}
		for _, p := range made {
			got := b.decided(t, p.ID)
			agrees(t, &got)
			if want := map[bool]client.Decision{true: client.Committed, false: client.Aborted}[round%2 == 0]; got.Decision != want {
				t.Errorf("round %d: %+v; want it %s", round, got, want)
			}
		}
	}
	b.heard.mu.Lock()
	defer b.heard.mu.Unlock()
	open := ""
	for _, r := range b.heard.records {
		if open != "" && r.Latest.ID != open {
			t.Errorf("%s was proposed while %s was voted on", r.Latest.ID, open)
		}
		if open = ""; r.Latest.State == "voting" {
			open = r.Latest.ID
		}
	}
}

// C7: the node is killed, and NATS with it, between propose and commit. What was decided
// before is readable after, and what was not is decided.
func TestProposalsOutliveTheDeathOfTheNodeAndOfNATS(t *testing.T) {
	t.Parallel()
	n := restartable(t)
	look := lookerAt(t, n.url)
	b := ballotBoxAt(t, n.url, "p")
	voters, owners := votersAt(t, n.url, 3, time.Minute)
	propose := func() client.Proposal {
		t.Helper()
		p, err := b.by(voters[0]).Propose(t.Context(), voters[0].lease, json.RawMessage(`1`), client.ProposeOptions{Voters: owners, Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var all []client.Proposal
	for range 3 {
		p := propose()
		for _, v := range voters[:2] {
			if _, err := b.by(v).Vote(t.Context(), v.lease, p.ID, true, ""); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, b.decided(t, p.ID))
	}
	open := propose()
	if _, err := b.by(voters[0]).Vote(t.Context(), voters[0].lease, open.ID, true, ""); err != nil {
		t.Fatal(err)
	}
	n.kill(t)
	n.start(t)
	for i := range all {
		b.reads(t, look.Proposals("default", "p"), &all[i])
	}
	got, err := b.by(voters[1]).Vote(t.Context(), voters[1].lease, open.ID, true, "")
	if err != nil || got.Decision != client.Committed || len(got.Votes) != 2 {
		t.Errorf("the vote after the death: %v, %+v; want it to commit", err, got)
	}
	agrees(t, &got)
	for range 2 {
		n.kill(t)
		n.start(t)
		b.reads(t, look.Proposals("default", "p"), &got)
	}
}

func (b *ballotBox) by(v voter) *client.Proposals { return v.c.Proposals("default", b.of) }

// mortalNode is a node with NATS inside that can be killed and started again where it was.
type mortalNode struct {
	*serverProcess

	dir, listen string
}

func restartable(t *testing.T) *mortalNode {
	t.Helper()
	n := &mortalNode{dir: t.TempDir(), listen: "127.0.0.1:0"}
	n.start(t)
	n.listen = n.url[len("nats://"):]
	return n
}

func (n *mortalNode) start(t *testing.T) {
	t.Helper()
	n.serverProcess = nodeAt(t, "mortal", func(c *config.Server) { c.StoreDir, c.Listen, c.HoldShare = n.dir, n.listen, 1 })
}

// kill kills the node and NATS, and returns when they are gone.
func (n *mortalNode) kill(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGKILL)
	_, _ = n.cmd.Process.Wait()
}
