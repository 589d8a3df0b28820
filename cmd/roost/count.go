package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newCount(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "count [SERVICE]",
		Short: "Count registrations",
		Example: "  roost count payments --status up\n" +
			"  roost count --all-namespaces",
		Args: arguments(0, 1, "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s listSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.count(cmd, argument(args), &s)
		},
	}
	connectionFlags(cmd)
	scopeFlags(cmd)
	consistencyFlag(cmd)
	conditionFlags(cmd)
	return cmd
}

func (p *program) count(cmd *cobra.Command, service string, s *listSettings) error {
	q, err := s.query.query(service)
	if err != nil {
		return err
	}
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) error {
		n, _, err := session.Count(ctx, q)
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error {
			_, err := fmt.Fprintln(w, n)
			return err
		})
	})
}
