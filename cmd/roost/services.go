package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/bus/client"
)

func newServices(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "services",
		Short: "List services and how many instances each has",
		Example: "  roost services\n" +
			"  roost services --all-namespaces --json",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s listSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.services(cmd, &s)
		},
	}
	connectionFlags(cmd)
	scopeFlags(cmd)
	consistencyFlag(cmd)
	return cmd
}

func (p *program) services(cmd *cobra.Command, s *listSettings) error {
	q, err := s.query.query("")
	if err != nil {
		return err
	}
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) error {
		var found []client.ServiceInfo
		for {
			page, _, err := session.Services(ctx, q)
			if err != nil {
				return err
			}
			found = append(found, page.Services...)
			if page.Next == "" {
				break
			}
			q.After = page.Next
		}
		return session.show(func(w io.Writer) error { return writeServices(w, found, q.Namespace == "") })
	})
}
