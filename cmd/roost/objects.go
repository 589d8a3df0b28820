package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

type barrierSettings struct {
	connection `koanf:",squash"`
	Namespace  string        `koanf:"namespace"`
	Size       int           `koanf:"size"`
	Generation int           `koanf:"generation"`
	Wait       time.Duration `koanf:"wait"`
}

func newBarrier(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "barrier NAME --size N",
		Short: "Wait until as many have come",
		Long: "Comes to a barrier and returns when --size have, with the generation that was released. The exit\n" +
			"code is 5 if that is not so within --wait. With --generation it counts for that one alone, and\n" +
			"may be repeated.",
		Example: "  roost barrier load-test --size 3 --wait 1m && ./attack",
		Args:    arguments(1, 1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s barrierSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			switch {
			case s.Size < 1:
				return usagef("barrier %s: say how many must come, with --size", args[0])
			case s.Wait < 0:
				return usagef("--wait %v: must not be negative", s.Wait)
			case s.Generation < 0:
				return usagef("--generation %d: must not be negative", s.Generation)
			}
			return p.barrier(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	fs := cmd.Flags()
	fs.String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the name")
	fs.Int("size", 0, "how many must come")
	fs.Int("generation", 0, "the `N`th release is meant; 0 is the next")
	fs.Duration("wait", 30*time.Second, "how long to wait")
	fs.Lookup("timeout").Usage = "at most so long for each request"
	return cmd
}

func (p *program) barrier(cmd *cobra.Command, name string, s *barrierSettings) error {
	return p.leased(cmd, &s.connection, s.Wait, "barrier "+name, func(ctx context.Context, session *session, lease *client.Lease) error {
		generation, err := session.Barrier(s.Namespace, name, s.Size).Arrive(ctx, lease, client.ArriveOptions{
			Generation: uint64(s.Generation), Wait: max(s.Wait, time.Millisecond), //nolint:gosec // not negative
		})
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "released; generation %d\n", generation)
			return err
		})
	})
}

// leased is with, for something that takes a lease and waits for as long as wait. The lease
// is given up afterwards.
func (p *program) leased(cmd *cobra.Command, c *connection, wait time.Duration, name string, f func(ctx context.Context, s *session, l *client.Lease) error) error {
	limit := *c
	limit.Timeout += wait
	return p.with(cmd, &limit, func(ctx context.Context, session *session) error {
		session.connection = c
		lease, err := session.Grant(ctx, client.LeaseOptions{Name: shortened(name)})
		if err != nil {
			return err
		}
		err = f(ctx, session, lease)
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		_ = lease.Revoke(bye) // it ends by itself
		return aboutObject(err)
	})
}

type counterSettings struct {
	connection `koanf:",squash"`
	Namespace  string `koanf:"namespace"`
}

func newCounter(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "counter NAME [add DELTA]",
		Short: "Show a counter, or add to it",
		Long:  "Prints the value of a counter, after DELTA, which may be negative, was added to it.",
		Example: "  roost counter invoices\n" +
			"  roost counter invoices add 1\n" +
			"  roost counter invoices add -- -3",
		Args: arguments(1, 3, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s counterSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.counter(cmd, args, &s)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the name")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if flag, ok := errors.AsType[*pflag.NotExistError](err); ok && isDigits(flag.GetSpecifiedShortnames()) {
			return usagef("%w; to subtract, write: roost counter %s add -- -%s", err, nameAmong(cmd.Flags().Args()), flag.GetSpecifiedShortnames())
		}
		return cmd.Parent().FlagErrorFunc()(cmd, err)
	})
	return cmd
}

// isDigits reports whether s is a number, which was taken for flags.
func isDigits(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// nameAmong returns the first of what was given before something went wrong.
func nameAmong(args []string) string {
	if len(args) == 0 {
		return "NAME"
	}
	return args[0]
}

func (p *program) counter(cmd *cobra.Command, args []string, s *counterSettings) error {
	var delta int64
	if len(args) > 1 {
		var err error
		if args[1] != "add" || len(args) != 3 {
			return usagef("counter %s: want add DELTA, have %s", args[0], strings.Join(args[1:], " "))
		}
		if delta, err = strconv.ParseInt(args[2], 10, 64); err != nil {
			return usagef("counter %s: %q is not a whole number of 64 bits", args[0], args[2])
		}
	}
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) error {
		counter := session.Counter(s.Namespace, args[0])
		value := func() (*big.Int, error) {
			if len(args) > 1 {
				return counter.Add(ctx, delta)
			}
			now, _, err := counter.Get(ctx, client.Read{})
			return now, err
		}
		now, err := value()
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error {
			_, err := fmt.Fprintln(w, now)
			return err
		})
	})
}
