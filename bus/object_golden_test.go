package bus_test

import (
	"encoding/json"

	"github.com/roostbus/roost/bus"
)

// objectMessages are every request and reply about objects, by the name of its golden file.
// What is a record here is written by package coordination; e2e compares the two.
func objectMessages() map[string]any {
	const lease = "pTqkZ4mB7sUe1Xh0aWc9Rg"
	payments, orders := bus.Owner(lease), bus.Owner("8fJd02mWq_Zx-5TtYbNc3LvR")
	wait := bus.Waiting{WaitMs: ptr(int64(30_000))}
	value := json.RawMessage(`{"url":"http://10.0.0.7:8080"}`)
	const older, newest = "00000001-000000000000002a", "00000001-000000000000002b"
	user := bus.User{Lease: lease, Holder: "worker-3"}
	leader := bus.ObjectLeader{Owner: payments, Value: value, Priority: 10}
	proposal := bus.ProposalRecord{
		ID: "01m9c2tq7f", Proposer: payments, Value: json.RawMessage(`{"shards":16}`), Voters: []string{payments, orders}, Quorum: 2,
		TimeoutMs: 30_000, State: "voting", Votes: []bus.Ballot{{Owner: payments, Accept: true}},
	}
	refused := proposal
	refused.ID, refused.State, refused.Reason = "01m9c2tq7e", "aborted", "refused"
	refused.Votes = []bus.Ballot{{Owner: orders, Reason: "not during the migration"}}
	return map[string]any{
		"request_campaign":       bus.CampaignRequest{Lease: lease, Value: value, Priority: 10, Waiting: wait},
		"request_campaign_least": bus.CampaignRequest{Lease: lease},
		"request_resign":         bus.ResignRequest{Lease: lease},
		"request_transfer":       bus.TransferRequest{Lease: lease, To: orders},
		"request_lock":           bus.LockRequest{User: user, Mode: bus.ModeShared, Waiting: wait},
		"request_release":        bus.ReleaseRequest{User: user},
		"request_semaphore":      bus.SemaphoreRequest{User: user, Permits: ptr(2), Limit: 10, Waiting: wait},
		"request_arrive":         bus.ArriveRequest{User: user, Size: 3, Generation: 3, Waiting: wait},
		"request_add":            bus.AddRequest{Delta: "-3"},
		"request_propose": bus.ProposeRequest{
			Lease: lease, Value: json.RawMessage(`{"shards":16}`), Voters: bus.Voters{Owners: []string{payments, orders}},
			Quorum: bus.Quorum{All: true}, TimeoutMs: ptr(int64(30_000)),
		},
		"request_propose_service": bus.ProposeRequest{
			Lease: lease, Voters: bus.Voters{Service: &bus.VotingService{Namespace: "default", Service: "payments"}}, Quorum: bus.Quorum{N: 2},
		},
		"request_vote": bus.VoteRequest{
			Lease: lease, ID: "01m9c2tq7f", Accept: ptr(false), Reason: "not during the migration",
		},
		"request_object":        bus.ObjectRequest{Freshness: bus.Freshness{Consistency: "local", MaxAgeMs: ptr(int64(1000))}},
		"request_proposal":      bus.ProposalRequest{ID: "01m9c2tq7f"},
		"request_objects":       bus.ObjectsRequest{Paging: bus.Paging{Limit: ptr(100), After: "default.payments"}},
		"request_admin_release": bus.AdminReleaseRequest{Reason: "host is gone"},

		"reply_campaign_leader":    bus.CampaignReply{State: bus.StateLeader, Token: newest, Term: 7, Leader: &leader},
		"reply_campaign_candidate": bus.CampaignReply{State: bus.StateCandidate, Term: 7, Leader: &leader, Position: 2},
		"reply_resign":             bus.ResignReply{},
		"reply_election": bus.ElectionRecord{
			Leader: &leader, Term: 7, Token: newest, Candidates: []bus.ObjectLeader{{Owner: orders}},
			Recent: []bus.Leadership{{Term: 6, Owner: orders, Token: older}, {Term: 7, Owner: payments, Token: newest}},
		},
		"reply_election_empty": bus.ElectionRecord{},
		"reply_held":           bus.HeldReply{State: bus.StateHeld, Token: newest},
		"reply_lock": bus.QueueRecord{
			Token:   newest,
			Holders: []bus.ObjectParty{{Owner: payments, Holder: "worker-3", Mode: bus.ModeExclusive, Token: newest}},
			Waiters: []bus.ObjectParty{{Owner: orders, Mode: bus.ModeShared}},
		},
		"reply_semaphore": bus.QueueRecord{
			Token: newest, Limit: 10,
			Holders: []bus.ObjectParty{{Owner: payments, Holder: "worker-3", Permits: 2, Token: newest}},
		},
		"reply_arrive":    bus.ArriveReply{Generation: 3, Released: true},
		"reply_barrier":   bus.BarrierRecord{Done: 2, Size: 3, Parties: []bus.ObjectParty{{Owner: payments, Holder: "worker-3"}}},
		"reply_add":       bus.AddReply{Value: "39", Repeated: true},
		"reply_counter":   bus.CounterReply{Value: "18446744073709551616"},
		"reply_proposal":  proposal,
		"reply_proposals": bus.ProposalsRecord{Latest: &proposal, Past: []bus.ProposalRecord{refused}},
		"reply_objects": bus.ObjectsReply{
			Names: []bus.ObjectName{{Namespace: "default", Name: "payments"}, {Namespace: "default", Name: "nightly report"}}, Next: "default.payments",
		},
		"reply_objects_empty": bus.ObjectsReply{Names: []bus.ObjectName{}},
	}
}
