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
}

func newList(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [SERVICE]",
		Short: "List registrations",
		Example: "  roost list\n" +
			"  roost list payments --status up --where region=eu-west\n" +
			"  roost list --all-namespaces --filter 'metadata.limits.rps >= 100' --json",
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
