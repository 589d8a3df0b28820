package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// Config says what to measure, for how long, and where.
type Config struct {
	Only          []string      // ids of cells; none means all
	Duration      time.Duration // of each side in each round
	Rounds        int
	Connections   int  // that the load comes over at most
	Registrations int  // that are there before reads are measured
	Copied        int  // registrations of which copies are made
	Nodes         int  // of the registry that is started, 1 or 3
	Scale         int  // registrations that memory and restarts are measured with, at most
	Curves        bool // measure how costs grow up to Scale registrations, too
	present       int  // registrations that are there before others are made
	Subscribers   int  // to changes, at most
	BatchSize     int  // operations in one batch
	Leases        int  // that live at a time, at most
	Beating       int  // connections that leases are kept alive over, at most
	Waiters       int  // for one lock, at most

	// Server is where a registry is. With "" one is started.
	Server string
	// Options are how to connect to Server.
	Options []nats.Option
	// Prefix is that of Server's subjects.
	Prefix string
	// Timeout bounds one request.
	Timeout time.Duration

	// Program starts this program again: as a registry with the arguments "serve …", and
	// as what Respond, Bare, Victim and Store are.
	Program Program
	// Version is that of the program.
	Version string
	// Progress is told what is being done, a few times a second. It may be nil.
	Progress func(what string)
}

// Program says how to start this program again.
type Program struct {
	Path    string
	Environ []string
	// Arguments to be what [Respond], [Bare], [Victim] and [Store] are.
	Responder, Bare, Victim, Store []string
}

// DefaultConfig returns what the command line begins with.
func DefaultConfig() Config {
	return Config{
		Duration: time.Second, Rounds: 5, Nodes: 1, Connections: 1, Registrations: 10_000, Copied: 100_000, Scale: 100_000, Subscribers: 1000, BatchSize: 250, Leases: 100_000, Beating: 1000, Waiters: 1000,
		Prefix: bus.DefaultPrefix, Timeout: 10 * time.Second,
	}
}

// maxRound keeps what one round remembers of its latencies within memory.
const maxRound = time.Minute

// wants reports whether a cell is asked for.
func (c *Config) wants(cell *Cell) bool {
	return len(c.Only) == 0 || slices.ContainsFunc(c.Only, func(id string) bool { return strings.EqualFold(id, cell.ID) })
}

// cannot reports why a cell that was asked for by name cannot be measured.
func (c *Config) cannot(id string) error {
	for _, cell := range cells() {
		switch {
		case !strings.EqualFold(cell.ID, id):
		default:
			return c.unfit(&cell)
		}
	}
	return fmt.Errorf("only: %q is none of %s", id, strings.Join(IDs(), ", "))
}

// unfit reports why a cell cannot be measured here, or of the registry that is there.
func (c *Config) unfit(cell *Cell) error {
	switch {
	case cell.Own && c.Server != "":
		return fmt.Errorf("only: %s needs a registry of its own, without --server", cell.ID)
	case max(cell.Nodes, 1) != max(c.Nodes, 1):
		return fmt.Errorf("only: %s needs %d nodes (--nodes %d)", cell.ID, max(cell.Nodes, 1), max(cell.Nodes, 1))
	case cell.Proc && !processesAreSeen():
		return fmt.Errorf("only: %s needs /proc to say what processes use", cell.ID)
	}
	return nil
}

// maxWaiters is how many may wait for one lock.
const maxWaiters = 1000

// Validate reports everything that is wrong, joined.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, id := range c.Only {
		if problem := c.cannot(id); problem != nil {
			errs = append(errs, problem)
		}
	}
	if c.Duration < time.Millisecond || c.Duration > maxRound {
		wrong("duration %v: must be 1ms to %v", c.Duration, maxRound)
	}
	if c.Rounds < 1 {
		wrong("rounds %d: must be at least 1", c.Rounds)
	}
	if c.Nodes != 1 && c.Nodes != 3 {
		wrong("nodes %d: must be 1 or 3", c.Nodes)
	}
	if c.Nodes != 1 && c.Server != "" {
		wrong("nodes %d: are started, and cannot be given with a server", c.Nodes)
	}
	if c.Connections < 1 {
		wrong("connections %d: must be at least 1", c.Connections)
	}
	if c.Registrations < serviceSize {
		wrong("registrations %d: must be at least %d", c.Registrations, serviceSize)
	}
	if c.Copied < shares*serviceSize {
		wrong("copied %d: must be at least %d", c.Copied, shares*serviceSize)
	}
	if c.Scale < serviceSize {
		wrong("scale %d: must be at least %d", c.Scale, serviceSize)
	}
	if c.Subscribers < 1 || c.Subscribers > maxSubscribers {
		wrong("subscribers %d: must be 1 to %d", c.Subscribers, maxSubscribers)
	}
	if c.BatchSize < 1 || c.BatchSize > 1000 {
		wrong("batch_size %d: must be 1 to 1000", c.BatchSize)
	}
	if c.Leases < manyBeats {
		wrong("leases %d: must be at least %d", c.Leases, manyBeats)
	}
	if c.Beating < 1 || c.Beating > maxSubscribers {
		wrong("lease_connections %d: must be 1 to %d", c.Beating, maxSubscribers)
	}
	if c.Waiters < 1 || c.Waiters > maxWaiters {
		wrong("waiters %d: must be 1 to %d", c.Waiters, maxWaiters)
	}
	if c.Timeout <= 0 {
		wrong("timeout %v: must be positive", c.Timeout)
	}
	if _, err := bus.NewSubjects(c.Prefix); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
