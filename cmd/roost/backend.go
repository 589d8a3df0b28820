package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/bus"
)

func newBackend(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backend",
		Short: "Show or switch what the registry is kept in; for operators",
		Example: "  roost backend status\n" +
			"  roost backend switch durable",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBackendStatus(p), newBackendSwitch(p))
	return cmd
}

func newBackendStatus(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show where the registry lies and how the newest switch is",
		Example: "  roost backend status",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c connection
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			return p.with(cmd, &c, func(ctx context.Context, session *session) error {
				reply, err := session.SwitchStatus(ctx)
				if err != nil {
					return err
				}
				return session.show(func(w io.Writer) error { return writeSwitchStatus(w, reply) })
			})
		},
	}
	connectionFlags(cmd)
	return cmd
}

type switchSettings struct {
	connection `koanf:",squash"`
	Bucket     string `koanf:"bucket"`
	NATSURL    string `koanf:"to_nats_url"`
	DryRun     bool   `koanf:"dry_run"`
	Abort      bool   `koanf:"abort"`
	Reason     string `koanf:"reason"`
}

func newBackendSwitch(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "switch [hybrid|durable]",
		Short: "Move the registry to another store while it serves",
		Long: "Moves the registry, with everything in it, to another bucket, also from memory and also on\n" +
			"another NATS, and has it read from memory (hybrid) or from the bucket (durable). Reads go on\n" +
			"throughout; writes wait for a moment in the end and do not fail. Until that moment is over the\n" +
			"switch can be aborted, and whatever fails, the registry stays where it was. Shows the progress\n" +
			"until it is done; interrupted, it goes on: see roost backend status.\n\n" +
			"The bucket that was left keeps what it had and tells nodes that start where the registry is by\n" +
			"now. Delete it only when no node's settings name it any more.",
		Example: "  roost backend switch durable\n" +
			"  roost backend switch hybrid --bucket roost_v2 --dry-run\n" +
			"  roost backend switch --bucket roost --to-nats-url nats://nats-1:4222\n" +
			"  roost backend switch --abort",
		Args: arguments(0, 1, "[hybrid|durable]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s switchSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.backendSwitch(cmd, args, &s)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().String("bucket", "", "`NAME` of the bucket to move to")
	cmd.Flags().String("to-nats-url", "", "`URL` of the NATS that has it, as the nodes reach it, or own for theirs; default where it is")
	cmd.Flags().Bool("dry-run", false, "only say what would be done")
	cmd.Flags().Bool("abort", false, "give up the switch that is under way")
	cmd.Flags().String("reason", "", "`TEXT` that --abort leaves behind")
	return cmd
}

func (p *program) backendSwitch(cmd *cobra.Command, args []string, s *switchSettings) error {
	q := bus.SwitchRequest{Backend: strings.Join(args, ""), Bucket: s.Bucket, NATSURL: s.NATSURL, DryRun: s.DryRun}
	switch asked := q.Backend != "" || q.Bucket != "" || q.NATSURL != ""; {
	case s.Abort && (asked || s.DryRun):
		return usagef("--abort gives up the switch that is under way; it takes nothing else but --reason")
	case !s.Abort && !asked:
		return usagef("where to? give hybrid or durable, --bucket or --to-nats-url")
	case q.Backend == "memory":
		return usagef("what is in memory ends with its process, so nothing is moved there; start a node with --backend memory")
	}
	if err := q.Validate(); !s.Abort && err != nil {
		return usagef("%v", err)
	}
	var begun *bus.SwitchReply
	err := p.with(cmd, &s.connection, func(ctx context.Context, session *session) (err error) {
		if s.Abort {
			begun, err = session.AbortSwitch(ctx, s.Reason)
		} else {
			begun, err = session.Switch(ctx, q)
		}
		return err
	})
	if err != nil || s.Quiet && begun.Switch == nil {
		return aboutSwitch(err)
	}
	show := func(write func(io.Writer) error) error {
		if s.JSON || s.Quiet {
			return nil
		}
		return write(p.stdout)
	}
	switch {
	case begun.Plan != nil:
		return show(func(w io.Writer) error { return writeSwitchPlan(w, begun) })
	case s.Abort:
		return show(func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "aborted; the registry stays at %s\n", shownPlace(begun.Home))
			return err
		})
	case begun.Switch == nil || over(begun.Switch):
		return show(func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "nothing is moved; the registry is read as %s from now on, by each of its %d nodes within a moment\n", q.Backend, len(begun.Nodes))
			return err
		})
	}
	return p.follow(cmd, s, begun.Switch.ID)
}

func over(s *bus.Switch) bool { return s.State == bus.SwitchDone || s.State == bus.SwitchAborted }

// follow shows how a switch is until it has ended. Nodes may be away for a moment.
func (p *program) follow(cmd *cobra.Command, s *switchSettings, id string) error {
	bar := progress{out: p.stderr, live: terminalWidth(p.stderr) > 0, quiet: s.Quiet || s.JSON}
	lost := time.Time{}
	for {
		var reply *bus.SwitchReply
		err := p.with(cmd, &s.connection, func(ctx context.Context, session *session) (err error) {
			reply, err = session.SwitchStatus(ctx)
			return err
		})
		switch {
		case cmd.Context().Err() != nil:
			return cmd.Context().Err()
		case err != nil && lost.IsZero():
			lost = time.Now()
		case err != nil && time.Since(lost) > time.Minute:
			return fmt.Errorf("the switch was begun; how it is cannot be told: %w", err)
		case err == nil && reply.Switch != nil && reply.Switch.ID == id:
			lost = time.Time{}
			if err := bar.show(reply.Switch); err != nil {
				return err
			}
			if over(reply.Switch) {
				return p.concluded(s, reply)
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-cmd.Context().Done():
		}
	}
}

func (p *program) concluded(s *switchSettings, reply *bus.SwitchReply) error {
	if reply.Switch.State == bus.SwitchAborted {
		return &codedError{code: exitConflict, err: fmt.Errorf("the switch was aborted and the registry is where it was: %s", reply.Switch.Reason)}
	}
	if s.JSON || s.Quiet {
		return nil
	}
	_, err := fmt.Fprintf(p.stdout, "the registry is at %s now: %d keys; writes waited for %v\n",
		shownPlace(reply.Switch.To), reply.Switch.Copied, time.Duration(reply.Switch.PauseMs)*time.Millisecond)
	return err
}

// progress shows how far a switch is: on a terminal in one line that changes, else in a
// line for each state.
type progress struct {
	out         io.Writer
	live, quiet bool
	state       string
}

func (b *progress) show(s *bus.Switch) (err error) {
	const width = 30
	full := width
	if s.Keys > 0 {
		full = int(min(s.Copied, s.Keys) * width / s.Keys) //nolint:gosec // at most width
	}
	text := fmt.Sprintf("%-8s [%s%s] %d of %d keys", s.State, strings.Repeat("#", full), strings.Repeat(".", width-full), s.Copied, s.Keys)
	if s.Reason != "" {
		text += ", " + visible(s.Reason)
	}
	switch {
	case b.quiet:
	case b.live && over(s):
		_, err = fmt.Fprintf(b.out, "\r\033[K")
	case b.live:
		_, err = fmt.Fprintf(b.out, "\r\033[K%s", text)
	case b.state != s.State && !over(s):
		_, err = fmt.Fprintln(b.out, text)
	}
	b.state = s.State
	return err
}

func shownPlace(p bus.Place) string {
	switch {
	case p.Bucket == "":
		return p.Kind
	case p.NATSURL != "":
		return fmt.Sprintf("bucket %s on %s", visible(p.Bucket), visible(p.NATSURL))
	}
	return "bucket " + visible(p.Bucket)
}

func writeSwitchPlan(w io.Writer, reply *bus.SwitchReply) error {
	plan := reply.Plan
	if plan.To == reply.Home {
		_, err := fmt.Fprintf(w, "nothing would be moved: only where the registry is read from changes, at each of %d nodes\n", len(reply.Nodes))
		return err
	}
	_, err := fmt.Fprintf(w, "would move up to %d keys from %s to %s, with %d nodes (%s)\n", plan.Keys,
		shownPlace(reply.Home), shownPlace(plan.To), len(reply.Nodes), strings.Join(reply.Nodes, ", "))
	if err == nil && plan.Replaces > 0 {
		_, err = fmt.Fprintf(w, "the %d keys that this registry has left there before would be deleted\n", plan.Replaces)
	}
	return err
}

func writeSwitchStatus(w io.Writer, reply *bus.SwitchReply) error {
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		errs = append(errs, err)
	}
	line("backend  %s", reply.Backend)
	line("home     %s", shownPlace(reply.Home))
	line("nodes    %s", strings.Join(reply.Nodes, ", "))
	if s := reply.Switch; s != nil {
		line("switch   %s: %s, from %s to %s, begun %s by node %s", s.ID, s.State, shownPlace(s.From), shownPlace(s.To),
			time.Time(s.StartedAt).Local().Format(time.DateTime), visible(s.Node))
		line("copied   %d of %d keys", s.Copied, s.Keys)
		if s.PauseMs > 0 {
			line("pause    %v", time.Duration(s.PauseMs)*time.Millisecond)
		}
		if s.Reason != "" {
			line("reason   %s", visible(s.Reason))
		}
	}
	if reply.WaitingMs > 0 {
		line("waiting  writes have been waiting for %v", time.Duration(reply.WaitingMs)*time.Millisecond)
	}
	return errors.Join(errs...)
}
