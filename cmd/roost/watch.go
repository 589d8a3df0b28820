package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

type watchSettings struct {
	connection `koanf:",squash"`
	query      `koanf:",squash"`
	Instance   string `koanf:"instance"`
	Unique     bool   `koanf:"unique"`
	Since      int    `koanf:"since"`
}

func newWatch(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch [SERVICE[/INSTANCE]]",
		Short: "Show changes as they happen",
		Long: "Prints a line for every change of a registration, from now on or from what changed after\n" +
			"--since REVISION, until it is interrupted, which is exit code 0, or until nobody reads its output\n" +
			"any more. With --json a line is {\"event\",\"reason\",\"revision\",\"registration\"}.\n\n" +
			"It needs a registry within --timeout to begin. Then it outlives reconnects, restarts and lost\n" +
			"events: the lines always lead to the registry's state. Where of several changes of one\n" +
			"registration only the newest can be told, a line \"gap\" comes first; that is usual after --since.\n" +
			"Of what was removed behind a gap only the name is known.\n\n" +
			"If the registry's store is made anew, or has forgotten what changed while this was away, it says\n" +
			"so on standard error, prints a gap with the reason \"compacted\", and goes on from there: whoever\n" +
			"keeps state lists anew when that line comes and misses nothing. A --since that is forgotten, or\n" +
			"not reached yet, is an error with exit code 4.\n\n" +
			"With --where, --filter, --status it tells of what matches, and once of what does no longer, as\n" +
			"\"unmatched\".",
		Example: "  roost watch\n" +
			"  roost watch payments --since 4711\n" +
			"  roost watch payments/i-1 --json\n" +
			"  roost watch --all-namespaces --status up --where region=eu-west",
		Args: arguments(0, 1, "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s watchSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.watch(cmd, argument(args), &s)
		},
	}
	connectionFlags(cmd)
	scopeFlags(cmd)
	instanceFlags(cmd)
	conditionFlags(cmd)
	fs := cmd.Flags()
	fs.Int("since", 0, "`REVISION` after which to begin; 0 is now")
	fs.Lookup("timeout").Usage = "at most so long to begin"
	fs.Lookup("json").Usage = "print each event as one line of JSON"
	fs.Lookup("quiet").Usage = "print nothing but events and errors"
	return cmd
}

// watcher returns what the settings and the argument ask for, not yet connected.
func (s *watchSettings) watcher(p *program, argument string) (*watcher, error) {
	if s.Since < 0 {
		return nil, usagef("--since %d: must not be negative", s.Since)
	}
	w := &watcher{since: client.Revision(s.Since), lines: eventLines{out: p.stdout, json: s.JSON}, said: p.stderr}
	if s.Quiet {
		w.said = nil
	}
	service := argument
	if argument != "" && !s.AllNamespaces {
		n := name{Namespace: s.Namespace, Instance: s.Instance, Unique: s.Unique}
		key, whole, err := n.key(argument)
		if err != nil {
			return nil, err
		}
		if service = key.Service; whole {
			w.only = &key
		}
	} else if s.Instance != "" || s.Unique {
		return nil, usagef("--instance and --unique are about one service; name it")
	}
	s.Consistency = backend.Linearizable.String()
	var err error
	w.query, err = s.query.query(service)
	return w, err
}

func (p *program) watch(cmd *cobra.Command, argument string, s *watchSettings) error {
	w, err := s.watcher(p, argument)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second one ends the process
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE) // so that it is an error of the write instead
	defer signal.Stop(broken)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // outlives the command by moments
		awaitNoReader(ctx, p.stdout)
		cancel()
	}()

	w.Client, err = p.connect(ctx, cmd, &s.connection, client.WithFollowing(w.fares))
	if err == nil {
		err = errors.Join(w.until(ctx), w.Close())
	}
	if ctx.Err() != nil || readerGone(err) {
		return nil // it was asked to end
	}
	return err
}

// until is run that ends soon after ctx, even while a write waits for a reader.
func (w *watcher) until(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Second):
		return context.Cause(ctx)
	}
}

// forgotten is the error of a --since that cannot be begun at.
func forgotten(since client.Revision, why string) error {
	return &codedError{code: exitConflict, err: fmt.Errorf(
		"watch since revision %d: %s; watch without --since, and see what is there with: roost list", since, why)}
}
