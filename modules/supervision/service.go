package supervision

import "context"

// Service is one long-running task.
type Service struct {
	// Name is shown in the health reply and in logs.
	Name string
	// Run blocks until ctx is done. Returning earlier, for whatever reason, is a failure.
	// nil if there is nothing to run but something to wait for.
	Run func(ctx context.Context) error
	// Ready, if given, returns when others may rely on the service, or ctx is done.
	Ready func(ctx context.Context) error
	// Stage says when it starts and stops.
	Stage Stage
}

// Stage says when a service stops. One stage has stopped before the next is told to.
// Stages start in the opposite order, each when the one before is ready.
type Stage uint8

// The stages, in the order of stopping.
const (
	// Front takes requests. It stops first, while all that it needs to finish those in
	// hand still runs.
	Front Stage = iota + 1
	// Core is what everything else stands on.
	Core
)

var stages = []Stage{Front, Core}

func (s Stage) String() string {
	switch s {
	case Front:
		return "front"
	case Core:
		return "core"
	}
	return "unknown"
}
