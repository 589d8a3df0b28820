package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/bus/client"
)

type listSettings struct {
	connection `koanf:",squash"`
	query      `koanf:",squash"`
	At         string `koanf:"at"`
}

func newList(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [SERVICE]",
		Short: "List registrations",
		Example: "  roost list\n" +
			"  roost list payments --status up --where region=eu-west\n" +
			"  roost list --all-namespaces --filter 'metadata.limits.rps >= 100' --json\n" +
			"  roost list payments --at 2026-11-21T03:12:00Z",
		Long: "Lists registrations. With --at it lists who was registered then, as far back as the registry keeps its\n" +
			"history; that needs an operator's permissions, and is refused for a moment that is not recorded.",
		Args: arguments(0, 1, "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s listSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.list(cmd, argument(args), &s)
		},
	}
	connectionFlags(cmd)
	scopeFlags(cmd)
	consistencyFlag(cmd)
	conditionFlags(cmd)
	cmd.Flags().String("at", "", "who was registered at a `TIME` (RFC 3339, or a duration such as 2h before now) or revision")
	return cmd
}

// argument returns the only argument, "" if there is none.
func argument(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (p *program) list(cmd *cobra.Command, service string, s *listSettings) error {
	q, err := s.query.query(service)
	if err != nil {
		return err
	}
	if s.At != "" {
		if !q.Everything() {
			return usagef("--at lists everything of a scope; leave out --where, --filter and --status")
		}
		return p.listAt(cmd, q.Scope, s.At, &s.connection)
	}
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) error {
		found, err := session.everything(ctx, q)
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error { return writeRegistrations(w, found, q.Namespace == "") })
	})
}

// everything returns all pages of q.
func (s *session) everything(ctx context.Context, q client.Query) (found []*client.Registration, err error) {
	for r, err := range s.All(ctx, q) {
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}
