package bus

import "encoding/json"

// CampaignReply answers a campaign.
type CampaignReply struct {
	State string `json:"state"` // StateLeader or StateCandidate
	// Token is the leader's, for a leader only.
	Token  string        `json:"token,omitempty"`
	Term   uint64        `json:"term"`
	Leader *ObjectLeader `json:"leader"`
	// Position is the candidate's among the candidates, from 1.
	Position int `json:"position,omitempty"`
}

// The states of those who took part in something.
const (
	StateLeader    = "leader"
	StateCandidate = "candidate"
	StateHeld      = "held"
)

// ResignReply answers a resign.
type ResignReply struct{}

// HeldReply answers an acquire.
type HeldReply struct {
	State string `json:"state"` // StateHeld
	Token string `json:"token"`
}

// ArriveReply answers an arrival.
type ArriveReply struct {
	Generation uint64 `json:"generation"`
	Released   bool   `json:"released"`
}

// AddReply answers an addition.
type AddReply struct {
	Value    string `json:"value"` // decimal, of any size
	Repeated bool   `json:"repeated,omitempty"`
}

// CounterReply answers a request for a counter.
type CounterReply struct {
	Value string `json:"value"` // decimal, of any size
}

// ObjectsReply answers a request for names. They are ordered by the bytes of their tokens.
type ObjectsReply struct {
	Names []ObjectName `json:"names"`
	Next  string       `json:"next,omitempty"`
}

// ObjectName is an [Object] as the wire writes it.
type ObjectName struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// ObjectLeader is who leads.
type ObjectLeader struct {
	Owner    string          `json:"owner"`
	Value    json.RawMessage `json:"value,omitempty"`
	Priority int             `json:"priority,omitempty"`
}

// ElectionRecord is the record of an election, as it is announced and as a get shows it.
type ElectionRecord struct {
	Leader     *ObjectLeader  `json:"leader"`
	Term       uint64         `json:"term"`
	Token      string         `json:"token,omitempty"`
	Candidates []ObjectLeader `json:"candidates,omitempty"`
	Recent     []Leadership   `json:"recent,omitempty"` // the newest last
}

// Leadership is one that was, or is.
type Leadership struct {
	Term  uint64 `json:"term"`
	Owner string `json:"owner"`
	Token string `json:"token"`
}

// QueueRecord is the record of a lock or of a semaphore.
type QueueRecord struct {
	Token   string        `json:"token,omitempty"` // the newest
	Holders []ObjectParty `json:"holders,omitempty"`
	Waiters []ObjectParty `json:"waiters,omitempty"`
	Limit   int           `json:"limit,omitempty"` // of a semaphore
}

// ObjectParty is who holds, or waits for, a lock or permits of a semaphore.
type ObjectParty struct {
	Owner   string `json:"owner"`
	Holder  string `json:"holder,omitempty"`
	Mode    string `json:"mode,omitempty"`
	Permits int    `json:"permits,omitempty"`
	Token   string `json:"token,omitempty"` // of a holder
}

// BarrierRecord is the record of a barrier.
type BarrierRecord struct {
	Done    uint64        `json:"done,omitempty"` // generations that were released
	Size    int           `json:"size,omitempty"`
	Parties []ObjectParty `json:"parties,omitempty"`
}

// ProposalRecord is a proposal.
type ProposalRecord struct {
	ID        string          `json:"id"`
	Proposer  string          `json:"proposer"`
	Value     json.RawMessage `json:"value,omitempty"`
	Voters    []string        `json:"voters"`
	Quorum    int             `json:"quorum"`
	TimeoutMs int64           `json:"timeout_ms"`
	State     string          `json:"state"` // voting, committed, aborted
	Reason    string          `json:"reason,omitempty"`
	Votes     []Ballot        `json:"votes,omitempty"`
}

// Ballot is what a voter has said.
type Ballot struct {
	Owner  string `json:"owner"`
	Accept bool   `json:"accept"`
	Reason string `json:"reason,omitempty"`
}

// ProposalsRecord is the record of the proposals under a name, as it is announced.
type ProposalsRecord struct {
	Latest *ProposalRecord  `json:"latest"`
	Past   []ProposalRecord `json:"past,omitempty"` // the newest last
}
