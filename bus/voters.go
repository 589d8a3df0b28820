package bus

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/roostbus/roost/backend"
)

// Voters are who may vote on a proposal: owners, or those of the live instances of a
// service. As JSON it is an array or an object.
type Voters struct {
	Owners  []string
	Service *VotingService
}

// VotingService is a service whose instances' owners vote.
type VotingService struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
}

// Validate checks that it is one or the other.
func (v *Voters) Validate() error {
	if s := v.Service; s != nil {
		if err := backend.ValidateName("voters.namespace", s.Namespace); err != nil {
			return err
		}
		return backend.ValidateName("voters.service", s.Service)
	}
	if n := len(v.Owners); n < 1 || n > MaxVoters {
		return backend.Invalid("voters", "has %d entries, must have 1 to %d", n, MaxVoters)
	}
	seen := make(map[string]struct{}, len(v.Owners))
	for i, owner := range v.Owners {
		field := fmt.Sprintf("voters.%d", i)
		if err := validateOwner(field, owner); err != nil {
			return err
		}
		if _, twice := seen[owner]; twice {
			return backend.Invalid(field, "%q occurs twice", owner)
		}
		seen[owner] = struct{}{}
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (v Voters) MarshalJSON() ([]byte, error) {
	if v.Service != nil {
		return json.Marshal(v.Service)
	}
	if v.Owners == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(v.Owners)
}

// UnmarshalJSON reads an array of owners, or a service.
func (v *Voters) UnmarshalJSON(text []byte) error {
	*v = Voters{}
	if len(text) > 0 && text[0] == '[' {
		if json.Unmarshal(text, &v.Owners) != nil {
			return backend.Invalid("voters", "must be an array of owners")
		}
		return nil
	}
	// Names that are not known, and null, are errors like elsewhere in a request.
	var fields map[string]*string
	if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &fields) != nil {
		return backend.Invalid("voters", `must be an array of owners, or {"namespace", "service"}`)
	}
	v.Service = &VotingService{}
	for name, value := range fields {
		field := "voters." + name
		switch {
		case value == nil:
			return backend.Invalid(field, "must not be null")
		case name == "namespace":
			v.Service.Namespace = *value
		case name == "service":
			v.Service.Service = *value
		default:
			return backend.Invalid(field, "is not a field of this request")
		}
	}
	return nil
}

// Quorum is how many voters must accept: a number, or one of the words. Its zero value is
// the majority.
type Quorum struct {
	All bool
	N   int // 0 for the majority
}

// The words for a quorum.
const (
	quorumMajority = "majority"
	quorumAll      = "all"
)

// Of returns how many of that many voters it is.
func (q Quorum) Of(voters int) int {
	switch {
	case q.All:
		return voters
	case q.N != 0:
		return q.N
	}
	return voters/2 + 1
}

// IsZero reports whether it is the majority.
func (q Quorum) IsZero() bool { return q == Quorum{} }

// MarshalJSON implements json.Marshaler.
func (q Quorum) MarshalJSON() ([]byte, error) {
	switch {
	case q.All:
		return json.Marshal(quorumAll)
	case q.N != 0:
		return strconv.AppendInt(nil, int64(q.N), 10), nil
	}
	return json.Marshal(quorumMajority)
}

// UnmarshalJSON reads a number or a word.
func (q *Quorum) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case `"` + quorumMajority + `"`:
		*q = Quorum{}
		return nil
	case `"` + quorumAll + `"`:
		*q = Quorum{All: true}
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > MaxVoters {
		return backend.Invalid("quorum", `must be "majority", "all", or a whole number, 1 to %d`, MaxVoters)
	}
	*q = Quorum{N: n}
	return nil
}
