package bus

import (
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
)

// MaxKeepalive is how many leases one message can keep alive at most.
const MaxKeepalive = 1000

// maxClientID is the greatest id of a connection: the greatest whole number that every
// reader of JSON tells from its neighbours. A NATS server counts its connections from 1.
const maxClientID = 1<<53 - 1

// Connection is a client's connection to NATS, as the server that it is connected to
// numbers it.
type Connection struct {
	ServerID string `json:"server_id"`
	ClientID uint64 `json:"client_id"`
}

// Validate checks that both ids are given.
func (c *Connection) Validate() error {
	if err := backend.ValidateName("connection.server_id", c.ServerID); err != nil {
		return err
	}
	if c.ClientID < 1 || c.ClientID > maxClientID {
		return backend.Invalid("connection.client_id", "is %d, must be 1 to %d", c.ClientID, uint64(maxClientID))
	}
	return nil
}

// GrantRequest is the body of a grant. What is not given is what the registry gives.
type GrantRequest struct {
	Lease      string      `json:"lease"` // the secret, made by the client
	TTLMs      *int64      `json:"ttl_ms,omitempty"`
	GraceMs    *int64      `json:"grace_ms,omitempty"`
	Name       string      `json:"name,omitempty"` // for people
	Connection *Connection `json:"connection,omitempty"`
}

// Validate checks the form of the request. What is too long or too short a time is for
// the server to say.
func (q *GrantRequest) Validate() error {
	if err := ValidateSecret(q.Lease); err != nil {
		return err
	}
	if q.Name != "" {
		if err := backend.ValidateName("name", q.Name); err != nil {
			return err
		}
	}
	return q.Connection.validate()
}

// validate is Validate where there may be none.
func (c *Connection) validate() error {
	if c == nil {
		return nil
	}
	return c.Validate()
}

// GrantReply answers a grant. Of a lease that lived already it says what was granted then.
type GrantReply struct {
	Owner   string `json:"owner"`
	TTLMs   int64  `json:"ttl_ms"`
	GraceMs int64  `json:"grace_ms"`
	Term    uint64 `json:"term"`
}

// KeepaliveRequest is the body of a keepalive: of one lease or of many.
type KeepaliveRequest struct {
	Lease      string      `json:"lease,omitempty"`
	Leases     []string    `json:"leases,omitempty"`
	Connection *Connection `json:"connection,omitempty"`
}

// Validate checks that the request is about one lease, or about 1 to MaxKeepalive, which
// need not differ.
func (q *KeepaliveRequest) Validate() error {
	switch {
	case q.Lease != "" && q.Leases != nil:
		return backend.Invalid("leases", "must not be given together with lease")
	case q.Lease != "":
		if err := ValidateSecret(q.Lease); err != nil {
			return err
		}
	case q.Leases == nil:
		return backend.Invalid("lease", "must be given, or leases")
	default:
		if err := validateSecrets(q.Leases); err != nil {
			return err
		}
	}
	return q.Connection.validate()
}

func validateSecrets(secrets []string) error {
	if n := len(secrets); n < 1 || n > MaxKeepalive {
		return backend.Invalid("leases", "has %d entries, must have 1 to %d", n, MaxKeepalive)
	}
	for i, s := range secrets {
		if ValidateSecret(s) != nil {
			return validateSecret(fmt.Sprintf("leases.%d", i), s)
		}
	}
	return nil
}

// KeepaliveReply answers a keepalive of one lease.
type KeepaliveReply struct {
	TTLMs int64 `json:"ttl_ms"`
	// Term is the keeper's. A client that sees another than before says its connection.
	Term uint64 `json:"term"`
}

// KeepalivesReply answers a keepalive of many.
type KeepalivesReply struct {
	// Expired are the owners, not the secrets, of those that have ended or are unknown.
	Expired []string `json:"expired"`
	Term    uint64   `json:"term"`
}

// RevokeRequest is the body of a revoke.
type RevokeRequest struct {
	Lease string `json:"lease"`
}

// Validate checks the secret.
func (q *RevokeRequest) Validate() error { return ValidateSecret(q.Lease) }

// AdminRevokeRequest is the body of an operator's revoke.
type AdminRevokeRequest struct {
	Reason string `json:"reason,omitempty"`
}

// RevokeReply answers a revoke.
type RevokeReply struct {
	Removed int `json:"removed"` // registrations
}

// LeaseRequest is the body of a request for one lease.
type LeaseRequest struct {
	Freshness
}

// LeasesRequest is the body of a request for all leases.
type LeasesRequest struct {
	Paging
	Freshness
}

// Lease describes a lease that has not ended.
type Lease struct {
	Owner         string  `json:"owner"`
	Name          string  `json:"name,omitempty"`
	TTLMs         int64   `json:"ttl_ms"`
	RemainingMs   int64   `json:"remaining_ms"`
	State         string  `json:"state"` // live, suspect, held
	Registrations int     `json:"registrations"`
	GrantedAt     Instant `json:"granted_at"`
}

// LeasesReply answers a request for all leases, ordered by owner.
type LeasesReply struct {
	Leases []Lease `json:"leases"`
	Next   string  `json:"next,omitempty"`
}

// Instant is a point in time as the wire writes it: in UTC, with milliseconds.
type Instant time.Time

// instantFormat is how an Instant is written.
const instantFormat = "2006-01-02T15:04:05.000Z"

// Time returns i as package time knows it.
func (i Instant) Time() time.Time { return time.Time(i) }

// Equal reports whether i and j are the same point in time.
func (i Instant) Equal(j Instant) bool { return i.Time().Equal(j.Time()) }

// MarshalText implements encoding.TextMarshaler.
func (i Instant) MarshalText() ([]byte, error) {
	return i.Time().UTC().AppendFormat(nil, instantFormat), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *Instant) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return backend.Invalid("instant", "%.40q is no instant like %s", text, instantFormat)
	}
	*i = Instant(t)
	return nil
}
