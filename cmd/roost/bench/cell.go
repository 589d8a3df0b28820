package bench

import (
	"context"
	"time"
)

// Cell is one line of the budget table: a kind of work and what it is compared with.
type Cell struct {
	ID       string // "P1"
	About    string // what is measured
	Baseline string // what it is compared with
	Unit     string // what is counted
	// JetStream says that the baseline uses it. A registry that is started for such a
	// cell trusts its clients; for any other it restricts them, as it does in production.
	JetStream bool
	// Serve are more arguments of a registry that is started for the cell.
	Serve []string
	// Nodes is how many nodes it is about; 0 stands for one.
	Nodes int
	// Own says that the cell needs a registry that it may start, stop and set up itself.
	Own bool
	// Proc says that it needs to know what processes use.
	Proc bool
	// Shares names the world that the cell shares with its neighbours of that name; ""
	// stands for one of its own.
	Shares  string
	Prepare func(ctx context.Context, w *World) ([]Case, error)
	// Curved has the settings be those of a point of the cell's curve: so many
	// registrations. nil: it has none, or draws it by itself.
	Curved func(c *Config, registrations int)
	// Measure, instead of Prepare, is for what is not done over and over.
	Measure func(ctx context.Context, w *World) ([]Figure, error)
}

// Case is one comparison of a cell.
type Case struct {
	What     string  // it is about, where the cells' cases differ in more than InFlight
	InFlight int     // operations at once
	X        float64 // where it lies on the cell's curve; 0: nowhere
	OnCurve  bool    // it is measured at each point of the cell's curve, too
	Cold     bool    // it is slow, and gains nothing from being warm
	Roost    Side
	Bare     Side
	Budget   Budget
	// Responder is the process whose CPU time counts as the responder's; 0: the run's own.
	Responder int
}

// Side is what one side of a case does.
type Side struct {
	// Do carries out one operation and returns how many units it came to. It is called
	// by as many workers at once as there are operations in flight.
	Do func(ctx context.Context, worker int) (units int, err error)
	// Timed stands in for Do where an operation's latency is not the time that it takes:
	// it returns those that it has seen.
	Timed func(ctx context.Context, worker int) (units int, latencies []time.Duration, err error)
	// Finish, if there is one, waits for what Do has left in flight, and counts it. It
	// is called once by each worker after its last operation, within the time measured.
	Finish func(ctx context.Context, worker int) (units int, err error)
}

// cells returns everything that can be measured, in the order in which it is.
func cells() []Cell {
	return []Cell{
		lookupCell(), listCell(), registerCell(), bulkCell(), syncedCell(), copyCell(), readAllCell(), eventCell(),
		keepaliveCell(), crowdedCell(), memoryCell(), restartCell(), uncontendedCell(), queuedCell(), contendedCell(), killedCell(), silentCell(), wholeCell(),
		nodeKilledCell(), replicatedCell(), leaderKilledCell(),
	}
}

// IDs returns the ids of all cells.
func IDs() []string {
	var ids []string
	for _, c := range cells() {
		ids = append(ids, c.ID)
	}
	return ids
}
