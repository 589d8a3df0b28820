package bustest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// nodeName is that of the only node.
const nodeName = "bustest"

// node is what `roost serve` runs, but for NATS itself.
type node struct {
	closers []func() error // what stands on something comes after it
}

func (n *node) onStop(f func() error) { n.closers = append(n.closers, f) }

// stop ends everything, what stands on something before that.
func (n *node) stop() error {
	var errs []error
	for _, f := range slices.Backward(n.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// connect makes a connection that is closed when all that uses it has stopped.
func (n *node) connect(to *natsServer, name string, opts ...nats.Option) (*nats.Conn, error) {
	nc, err := to.connect(name, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	n.onStop(func() error {
		nc.Close()
		return nil
	})
	return nc, nil
}

// service is what runs until its context is done.
type service struct {
	name string
	run  func(context.Context) error
}

// run starts services, which run until the node stops or ctx is done.
func (n *node) run(ctx context.Context, log *slog.Logger, services ...service) {
	ctx, end := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, s := range services {
		running.Go(func() { s.keep(ctx, log) })
	}
	n.onStop(func() error {
		end()
		running.Wait()
		return nil
	})
}

// restartPause is how long a service that failed is left alone.
const restartPause = 50 * time.Millisecond

// keep runs s, again after each failure, as supervision does in a server.
func (s *service) keep(ctx context.Context, log *slog.Logger) {
	for {
		err := s.run(ctx)
		if ctx.Err() != nil {
			return
		}
		log.LogAttrs(ctx, slog.LevelWarn, "task failed", slog.String("task", s.name), slog.Any("err", err))
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
			return
		}
	}
}
