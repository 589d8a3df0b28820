package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
)

func newHealth(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Show how the node that answers is",
		Long: "Shows how the node that answers is. The exit code is 0 if it is healthy, 10 if it is degraded,\n" +
			"11 if it is unhealthy and 5 if none answers.",
		Example: "  roost health\n" +
			"  roost health --quiet --timeout 2s || systemctl restart roost",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c connection
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			return p.health(cmd, &c)
		},
	}
	connectionFlags(cmd)
	return cmd
}

func (p *program) health(cmd *cobra.Command, c *connection) error {
	return p.with(cmd, c, func(ctx context.Context, session *session) error {
		report, err := session.Report(ctx)
		if err != nil {
			return err
		}
		if err := session.show(func(w io.Writer) error { return writeHealth(w, report) }); err != nil {
			return err
		}
		switch report.Status {
		case backend.Healthy:
			return nil
		case backend.Degraded:
			return &codedError{code: exitDegraded, err: errQuiet}
		default:
			return &codedError{code: exitUnhealthy, err: errQuiet}
		}
	})
}
