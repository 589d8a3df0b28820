package bus

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/roostbus/roost/backend"
)

// The limits of requests about objects.
const (
	// MaxHolder is the greatest length of a holder in characters.
	MaxHolder = 64
	// MaxObjectValue is the greatest size of a candidate's or a proposal's value in bytes
	// of compact JSON.
	MaxObjectValue = 4 << 10
	// MaxVoters is how many voters a proposal has at most.
	MaxVoters = 500
	// MaxProposalID is the greatest length of a proposal's id in bytes.
	MaxProposalID = 64
	// DefaultProposalTimeoutMs is how long a proposal that does not say is voted on.
	DefaultProposalTimeoutMs = 30_000
)

// User is who uses an object: the lease that it is used under, and, where several use it
// under one lease, who of them.
type User struct {
	Lease  string `json:"lease"`
	Holder string `json:"holder,omitempty"`
}

// Secret returns the lease's.
func (u *User) Secret() string { return u.Lease }

// Validate checks the secret and the holder.
func (u *User) Validate() error {
	if err := validateLease(u.Lease); err != nil {
		return err
	}
	return validateText("holder", u.Holder, MaxHolder)
}

func validateLease(secret string) error {
	if secret == "" {
		return backend.Invalid("lease", "must be given")
	}
	return ValidateSecret(secret)
}

func validateText(field, text string, most int) error {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return backend.Invalid(field, "is not valid UTF-8")
	case n > most:
		return backend.Invalid(field, "is %d characters long, at most %d are allowed", n, most)
	case strings.ContainsFunc(text, unicode.IsControl):
		return backend.Invalid(field, "contains a control character")
	}
	return nil
}

// Waiting says how long a request may wait for what it asks for. It is part of those that
// may.
type Waiting struct {
	WaitMs *int64 `json:"wait_ms,omitempty"`
}

// CampaignRequest is the body of a campaign.
type CampaignRequest struct {
	Lease    string          `json:"lease"`
	Value    json.RawMessage `json:"value,omitempty"` // any JSON but null
	Priority int32           `json:"priority,omitempty"`
	Waiting
}

// Secret returns the lease's.
func (q *CampaignRequest) Secret() string { return q.Lease }

// Validate checks the form of the request. The value's size is for whoever compacts it to
// say.
func (q *CampaignRequest) Validate() error { return validateLease(q.Lease) }

// ResignRequest is the body of a resign.
type ResignRequest struct {
	Lease string `json:"lease"`
}

// Secret returns the lease's.
func (q *ResignRequest) Secret() string { return q.Lease }

// Validate checks the secret.
func (q *ResignRequest) Validate() error { return validateLease(q.Lease) }

// TransferRequest is the body of a transfer.
type TransferRequest struct {
	Lease string `json:"lease"`
	To    string `json:"to"` // a candidate's owner
}

// Secret returns the lease's.
func (q *TransferRequest) Secret() string { return q.Lease }

// Validate checks the form of the request.
func (q *TransferRequest) Validate() error {
	if err := validateLease(q.Lease); err != nil {
		return err
	}
	return validateOwner("to", q.To)
}

// LockRequest is the body of an acquire of a lock.
type LockRequest struct {
	User
	Mode string `json:"mode,omitempty"` // ModeExclusive unless it says ModeShared
	Waiting
}

// The modes of a lock.
const (
	ModeExclusive = "exclusive"
	ModeShared    = "shared"
)

// Validate checks the form of the request, and puts the mode in that is meant.
func (q *LockRequest) Validate() error {
	switch q.Mode {
	case "":
		q.Mode = ModeExclusive
	case ModeExclusive, ModeShared:
	default:
		return backend.Invalid("mode", "%.40q is neither %s nor %s", q.Mode, ModeExclusive, ModeShared)
	}
	return q.User.Validate()
}

// SemaphoreRequest is the body of an acquire of a semaphore.
type SemaphoreRequest struct {
	User
	Permits *int `json:"permits,omitempty"` // 1 unless it is given
	Limit   int  `json:"limit"`
	Waiting
}

// ReleaseRequest is the body of a release of a lock or a semaphore.
type ReleaseRequest struct{ User }

// ArriveRequest is the body of an arrival at a barrier.
type ArriveRequest struct {
	User
	Size       int    `json:"size"`
	Generation uint64 `json:"generation,omitempty"` // the present one unless it is given
	Waiting
}

// AddRequest is the body of an addition to a counter.
type AddRequest struct {
	Delta string `json:"delta"` // a decimal number of 64 bits
}

// Amount returns the number that Delta is.
func (q *AddRequest) Amount() (int64, error) {
	n, err := strconv.ParseInt(q.Delta, 10, 64)
	if err != nil || strings.HasPrefix(q.Delta, "+") {
		return 0, backend.Invalid("delta", "%.40q must be a whole number of 64 bits in decimal digits", q.Delta)
	}
	return n, nil
}

// ProposeRequest is the body of a propose.
type ProposeRequest struct {
	Lease     string          `json:"lease"`
	Value     json.RawMessage `json:"value,omitempty"` // any JSON but null
	Voters    Voters          `json:"voters"`
	Quorum    Quorum          `json:"quorum,omitzero"`
	TimeoutMs *int64          `json:"timeout_ms,omitempty"`
}

// Secret returns the lease's.
func (q *ProposeRequest) Secret() string { return q.Lease }

// Validate checks the form of the request.
func (q *ProposeRequest) Validate() error {
	if err := validateLease(q.Lease); err != nil {
		return err
	}
	if ms := q.TimeoutMs; ms != nil && (*ms < 1 || *ms > backend.MaxWait.Milliseconds()) {
		return backend.Invalid("timeout_ms", "is %d, must be 1 to %d", *ms, backend.MaxWait.Milliseconds())
	}
	return q.Voters.Validate()
}

// VoteRequest is the body of a vote.
type VoteRequest struct {
	Lease  string `json:"lease"`
	ID     string `json:"id"`
	Accept *bool  `json:"accept"`
	Reason string `json:"reason,omitempty"`
}

// Secret returns the lease's.
func (q *VoteRequest) Secret() string { return q.Lease }

// Validate checks the form of the request.
func (q *VoteRequest) Validate() error {
	if err := validateLease(q.Lease); err != nil {
		return err
	}
	if q.ID == "" {
		return backend.Invalid("id", "must be given")
	}
	if q.Accept == nil {
		return backend.Invalid("accept", "must be given")
	}
	if err := validateText("id", q.ID, MaxProposalID); err != nil {
		return err
	}
	return (&backend.Write{Reason: q.Reason}).Validate()
}

// ObjectRequest is the body of a request for one object.
type ObjectRequest struct {
	Freshness
}

// ProposalRequest is the body of a request for a proposal.
type ProposalRequest struct {
	ID string `json:"id,omitempty"` // the latest unless it is given
	Freshness
}

// Validate checks the form of the id.
func (q *ProposalRequest) Validate() error { return validateText("id", q.ID, MaxProposalID) }

// ObjectsRequest is the body of a request for the names of objects.
type ObjectsRequest struct {
	Paging
	Freshness
}

// AdminReleaseRequest is the body of an operator's release.
type AdminReleaseRequest struct {
	Reason string `json:"reason,omitempty"`
}
