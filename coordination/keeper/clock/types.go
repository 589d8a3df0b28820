package clock

import (
	"context"
	"time"
)

// Connection is a client's connection to NATS, as the server that it is connected to numbers
// it. The zero Connection is that of a client that does not say.
type Connection struct {
	Server string // its id
	Client uint64
}

// Request asks for a lease.
type Request struct {
	Owner      string
	Name       string // for people; may be ""
	TTL        time.Duration
	Grace      time.Duration
	Connection Connection
}

// Beat answers a grant or keepalive.
type Beat struct {
	TTL   time.Duration
	Grace time.Duration
	// Revision is that of the grant where this very call has written it, else 0.
	Revision uint64
	// Term is the keeper's. A client that sees another than before says its connection.
	Term uint64
}

// State is how a lease is.
type State string

// The states of a lease that has not ended.
const (
	Live    State = "live"
	Suspect State = "suspect" // its connection was closed, and its grace runs
	Held    State = "held"    // it would have ended, with too many others
)

// Status describes a lease.
type Status struct {
	Owner     string
	Name      string
	TTL       time.Duration
	Remaining time.Duration
	State     State
	GrantedAt time.Time
}

// Health sums up the leases of a keeper.
type Health struct {
	Leases   int
	Suspects int
	Held     int
}

// Door is where requests about leases come in.
type Door interface {
	// Open has requests come to c from now on, and returns when they reach it.
	Open(ctx context.Context, c *Clock) error

	// Settle returns when every request that had reached the node before the call has been
	// given to the Clock.
	Settle(ctx context.Context) error

	// Reach returns when NATS has answered: what it had for the node before the call has
	// reached the node. It costs little and is called several times a second.
	Reach(ctx context.Context) error

	// Close has no more requests come. It is idempotent.
	Close()
}
