package bench

import "context"

// Cell is one line of the budget table: a kind of work and what it is compared with.
type Cell struct {
	ID       string // "P1"
	About    string // what is measured
	Baseline string // what it is compared with
	Unit     string // what is counted
	// JetStream says that the baseline uses it. A registry that is started for such a
	// cell trusts its clients; for any other it restricts them, as it does in production.
	JetStream bool
	Prepare   func(ctx context.Context, w *World) ([]Case, error)
}

// Case is one comparison of a cell.
type Case struct {
	InFlight int // operations at once
	Roost    Side
	Bare     Side
	Budget   Budget
}

// Budget says how much worse than bare NATS a case may be; 0 sets no limit.
type Budget struct {
	Rate float64 `json:"rate,omitempty"` // at least so much of its rate
	P50  float64 `json:"p50,omitempty"`  // at most so much of its median latency
}

// Side is what one side of a case does.
type Side struct {
	// Do carries out one operation and returns how many units it came to. It is called
	// by as many workers at once as there are operations in flight.
	Do func(ctx context.Context, worker int) (units int, err error)
	// Finish, if there is one, waits for what Do has left in flight, and counts it. It
	// is called once by each worker after its last operation, within the time measured.
	Finish func(ctx context.Context, worker int) (units int, err error)
}

// cells returns everything that can be measured, in the order in which it is.
func cells() []Cell { return []Cell{lookupCell(), listCell(), registerCell(), bulkCell()} }

// IDs returns the ids of all cells.
func IDs() []string {
	var ids []string
	for _, c := range cells() {
		ids = append(ids, c.ID)
	}
	return ids
}
