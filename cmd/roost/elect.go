package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

type electSettings struct {
	roleSettings `koanf:",squash"`
	Value        string `koanf:"value"`
	Priority     int    `koanf:"priority"`
}

func newElect(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "elect NAME [flags] -- CMD [ARGS]",
		Short: "Run a command while this process leads",
		Long: "Takes part in an election and runs CMD while it leads, with ROOST_TERM and ROOST_TOKEN in its\n" +
			"environment; of those with the highest --priority the first to come leads. When the leadership\n" +
			"is not certain any more CMD is stopped and this process is a candidate again. When CMD ends by\n" +
			"itself it resigns, and ends with its exit code.\n\n" + roleText,
		Example: "  roost elect scheduler -- ./scheduler\n" +
			"  roost elect scheduler --priority 10 --value '{\"url\":\"http://10.0.0.7:8080\"}' -- ./scheduler",
		RunE: func(cmd *cobra.Command, args []string) error {
			var s electSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			name, command, err := roleOf(cmd, args)
			if err != nil {
				return err
			}
			if s.Priority < math.MinInt32 || s.Priority > math.MaxInt32 {
				return usagef("--priority %d: must be a number of 32 bits", s.Priority)
			}
			return p.elect(cmd, name, command, &s)
		},
	}
	roleFlags(cmd)
	cmd.Flags().String("value", "", "`VALUE` that others see of the leader, as JSON or else as text")
	cmd.Flags().Int("priority", 0, "goes before those with less")
	return cmd
}

func (p *program) elect(cmd *cobra.Command, name string, command []string, s *electSettings) error {
	o := client.CampaignOptions{Priority: int32(s.Priority)} //nolint:gosec // checked
	if s.Value != "" {
		o.Value = jsonOf(s.Value)
	}
	return p.perform(cmd, "election "+name, command, &s.roleSettings, func(ctx context.Context, st *stage) error {
		return st.elect(ctx, st.client.Election(s.Namespace, name), o)
	})
}

// elect leads again and again, until the command has ended by itself.
func (s *stage) elect(ctx context.Context, e *client.Election, o client.CampaignOptions) error {
	for {
		waiting, stop := asked(ctx, s.signals)
		leads, err := e.Campaign(waiting, s.lease, o)
		stop()
		switch {
		case errors.Is(context.Cause(waiting), errAsked):
			return nil
		case errors.Is(err, backend.ErrLeaseExpired):
			s.sayf("the lease has ended; standing again with another one")
			if s.lease, err = s.client.Grant(ctx, client.LeaseOptions{TTL: s.TTL, Grace: &s.Grace}); err == nil {
				continue
			}
			return notStarted(err)
		case err != nil:
			return notStarted(err)
		}
		s.sayf("leading %s in term %d", e, leads.Term())
		term := strconv.FormatUint(leads.Term(), 10)
		exit, lost, err := s.act(ctx, leads, "ROOST_TOKEN="+string(leads.Token()), "ROOST_TERM="+term)
		if err != nil || lost == nil {
			return finished(exit, err)
		}
		// Another term must not begin before it is certain that this one's child has gone.
		s.sayf("%s was stopped (%v); a candidate again", s.command[0], exit)
	}
}

type leaderSettings struct {
	connection `koanf:",squash"`
	Namespace  string `koanf:"namespace"`
	Watch      bool   `koanf:"watch"`
}

func newLeader(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leader NAME",
		Short: "Show who leads",
		Long: "Shows who leads. The exit code is 3 if nobody does. With --watch it prints a line for every change\n" +
			"of the leader, in the order of terms, until it is interrupted.",
		Example: "  roost leader scheduler\n" +
			"  roost leader scheduler --watch",
		Args: arguments(1, 1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s leaderSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			if s.Watch {
				return p.watchLeader(cmd, args[0], &s)
			}
			return p.leader(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the name")
	cmd.Flags().Bool("watch", false, "print every change of the leader")
	return cmd
}

func (p *program) leader(cmd *cobra.Command, name string, s *leaderSettings) error {
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) error {
		record, _, err := session.Election(s.Namespace, name).Get(ctx, client.Read{Consistency: client.Linearizable})
		if err != nil {
			return err
		}
		if record.Leader.Owner == "" {
			return &codedError{code: exitNotFound, err: fmt.Errorf("nobody leads %s", visible(name))}
		}
		if s.JSON || s.Quiet {
			return nil
		}
		return p.showLeader(record.Leader)
	})
}

func (p *program) showLeader(l client.Leader) error {
	owner := l.Owner
	if owner == "" {
		owner = "(nobody)"
	}
	line := fmt.Sprintf("term %d  owner %s  token %s  %s", l.Term, owner, l.Token, visible(string(l.Value)))
	_, err := fmt.Fprintln(p.stdout, strings.TrimRight(line, " "))
	return err
}

func (p *program) watchLeader(cmd *cobra.Command, name string, s *leaderSettings) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := p.connect(ctx, cmd, &s.connection)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is lost
	for l, err := range c.Election(s.Namespace, name).Observe(ctx) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if s.JSON {
			err = json.NewEncoder(p.stdout).Encode(struct {
				Term  uint64          `json:"term"`
				Owner string          `json:"owner"`
				Token client.Token    `json:"token"`
				Value json.RawMessage `json:"value,omitempty"`
			}{l.Term, l.Owner, l.Token, l.Value})
		} else {
			err = p.showLeader(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
