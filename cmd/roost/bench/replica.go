package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostbus/roost/bus/client"
)

// replica is a Replica that runs.
type replica struct {
	*client.Replica
	cancel context.CancelFunc
	ended  chan error
}

// replicate has a Replica of a scope run. It returns before that is ready.
func replicate(ctx context.Context, c *client.Client, scope client.Scope) (*replica, error) {
	copied, err := client.NewReplica(c, client.Query{Scope: scope})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &replica{Replica: copied, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- copied.Run(ctx) }() // stop waits for it
	return r, nil
}

// stop ends r and returns why it had ended before, if it had.
func (r *replica) stop() error {
	r.cancel()
	return <-r.ended
}

// readyWithin waits for r to be ready.
func (w *World) readyWithin(ctx context.Context, r *replica) error {
	ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
	defer cancel()
	return r.Ready(ctx)
}

// holds checks that r holds what the registry showed.
func (c *crowd) holds(r *replica) error {
	var problems []error
	for _, m := range c.members {
		found, ok := r.Lookup(m.key)
		if !ok || found.Key != m.key || found.Revision != m.revision {
			problems = append(problems, fmt.Errorf("the replica has %+v at %s; want revision %d", found, m.key, m.revision))
		}
		if len(problems) == 3 {
			break
		}
	}
	return errors.Join(problems...)
}
