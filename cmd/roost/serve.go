package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/roostbus/roost/modules"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/memory"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/supervision"
)

func newServe(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a registry",
		Long: "Runs a registry, with a NATS server inside unless --nats-url names another. Prints \"ready\" and\n" +
			"where clients connect when requests are served. SIGTERM and SIGINT finish what is in hand, move\n" +
			"clients to other nodes of a cluster and end with exit code 0; a second one ends at once.\n\n" +
			"With --cluster-listen and --cluster-routes several nodes form one replicated registry. A node that\n" +
			"is started before a majority of them waits, at most for --start-timeout. The secret that lets a\n" +
			"node in is in --cluster-secret-file, or in $ROOST_CLUSTER_SECRET.",
		Example: "  roost serve\n" +
			"  roost serve --listen 0.0.0.0:4222 --store-dir /var/lib/roost --sync always\n" +
			"  roost serve --server-name a --listen 0.0.0.0:4222 --cluster-listen 0.0.0.0:6222 \\\n" +
			"    --cluster-routes a:6222,b:6222,c:6222 --cluster-secret-file /etc/roost/secret\n" +
			"  roost serve --nats-url nats://nats-1:4222,nats://nats-2:4222 --replicas 3",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c config.Server
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			if err := p.serve(cmd.Context(), c); err != nil {
				return &codedError{code: exitCode(err), err: err} // it says itself what to do
			}
			return nil
		},
	}
	config.ServerFlags(cmd.Flags())
	return cmd
}

// errSecondSignal ends the process at once.
var errSecondSignal = errors.New("serve: stopped at once by a second signal; requests in hand may be lost")

func (p *program) serve(ctx context.Context, c config.Server) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	starting, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	node := node{log: p.logger(c.Log), config: c, version: semantic(p.version)}
	started := make(chan error, 1)
	go func() { started <- node.start(starting) }()
	select {
	case err := <-started:
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
	case <-signals:
		cancel()
		return errors.Join(<-started, node.stop(ctx, signals))
	}
	if _, err := fmt.Fprintf(p.stdout, "ready %s\n", node.link.ClientURL); err != nil {
		return errors.Join(fmt.Errorf("serve: %w", err), node.stop(ctx, signals))
	}
	var failed error
	select {
	case <-signals:
	case end := <-node.app.Wait(): // fx hears of signals, too, and may be the first to
		if end.ExitCode != 0 {
			failed = fmt.Errorf("serve: %w", node.cause(end.ExitCode))
		}
	}
	return errors.Join(failed, node.stop(ctx, signals))
}

// node is one running registry.
type node struct {
	log     *slog.Logger
	config  config.Server
	version config.Version

	app  *fx.App
	link *nats.Link
	tree *supervision.Tree
}

func (n *node) start(ctx context.Context) error {
	begin := time.Now()
	n.app = fx.New(
		fx.Supply(n.config, n.version, n.log),
		fx.Provide(func() context.Context { return ctx }),
		fx.WithLogger(func() fxevent.Logger {
			l := &fxevent.SlogLogger{Logger: n.log.With(slog.String("component", "fx"))}
			l.UseLogLevel(slog.LevelDebug)
			l.UseErrorLevel(slog.LevelDebug) // what fails is returned, and said once
			return l
		}),
		fx.StartTimeout(n.config.StartTimeout), fx.StopTimeout(n.config.StopTimeout),
		memory.Module, // before supervision, which starts what there is
		modules.Server,
		fx.Populate(&n.link, &n.tree),
	)
	if err := n.app.Err(); err != nil {
		return dig.RootCause(err)
	}
	if err := n.app.Start(ctx); err != nil {
		return err
	}
	n.log.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("url", n.link.ClientURL),
		slog.String("backend", n.config.Backend), slog.String("version", string(n.version)), slog.Duration("took", time.Since(begin)))
	return nil
}

// stop stops the node inside its bound, or returns at once at another signal.
func (n *node) stop(ctx context.Context, signals <-chan os.Signal) error {
	if n.app == nil || n.app.Err() != nil {
		return nil
	}
	n.log.LogAttrs(ctx, slog.LevelInfo, "stopping", slog.Duration("at_most", n.config.StopTimeout))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.config.StopTimeout)
	defer cancel()
	begun := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- n.app.Stop(ctx) }()
	for {
		select {
		case err := <-stopped:
			if err != nil {
				return fmt.Errorf("serve: stop: %w", err)
			}
			n.log.LogAttrs(ctx, slog.LevelInfo, "stopped")
			return nil
		case <-signals:
			if time.Since(begun) > oneSignal {
				return errSecondSignal
			}
		}
	}
}

// oneSignal is how long after the first signal another counts as the same: supervisors
// signal a process and then its group.
const oneSignal = 250 * time.Millisecond

// cause says why the application ended itself.
func (n *node) cause(code int) error {
	for _, task := range n.tree.Tasks() {
		if task.State == "stopped" && task.Error != "" {
			return fmt.Errorf("task %s kept failing: %s; the log says more", task.Name, task.Error)
		}
	}
	return fmt.Errorf("ended with code %d; the log says why", code)
}
