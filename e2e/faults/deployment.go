package faults

import (
	"context"
	"os"
	"testing"
	"time"
)

// Deployment is a registry that faults can be made in.
type Deployment interface {
	// Prefix is that of the registry's subjects.
	Prefix() string
	// URLs are those of the NATS servers, where clients connect.
	URLs() []string
	// Nodes answer requests. Servers store. Where NATS is embedded they are the same.
	Nodes() []Member
	Servers() []Server
	// JetStream asks JetStream at a subject of its interface, as whoever administers it may.
	JetStream(ctx context.Context, subject string) ([]byte, error)
	// StoodStill is for how long the lease clocks of nodes have stood still in all, for want
	// of a processor or of NATS.
	StoodStill() time.Duration
	// Revive starts again what has ended by itself, as whatever supervises processes does.
	Revive(tb testing.TB)
}

// Member is a process of a deployment and its links to the others.
type Member interface {
	// Name is what the registry, or NATS, calls it.
	Name() string
	// Kill ends the process by SIGKILL. Start starts it again, and does not wait until it
	// serves.
	Kill(tb testing.TB)
	Start(tb testing.TB)
	Signal(tb testing.TB, s os.Signal)

	// SetWall has the clock on its wall be so far ahead of the machine's; see
	// [natstest.SetWall].
	SetWall(tb testing.TB, ahead time.Duration)

	// CutOff cuts its links in both directions, Deafen has it hear nothing and Mute be
	// heard by nobody. Nobody is told. Rejoin ends any of these.
	CutOff(tb testing.TB)
	Deafen(tb testing.TB)
	Mute(tb testing.TB)
	Rejoin(tb testing.TB)
}

// Server is a member that stores.
type Server interface {
	Member

	// FillDisk has every write into a file fail until FreeDisk.
	FillDisk(tb testing.TB)
	FreeDisk(tb testing.TB)
	// StoreDir is where it keeps its streams.
	StoreDir() string
}
