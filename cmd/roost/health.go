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
		Short: "Show how the node that answers is, or every node",
		Long: "Shows how the node that answers is, or with --all every node: its part, how far its view is, and\n" +
			"where the registry is kept. The exit code is 0 if all that was asked is healthy, 10 if something is\n" +
			"degraded, 11 if something is unhealthy and 5 if none answers.",
		Example: "  roost health\n" +
			"  roost health --all\n" +
			"  roost health --quiet --timeout 2s || systemctl restart roost",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c struct {
				connection `koanf:",squash"`
				All        bool `koanf:"all"`
			}
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			if c.All {
				return p.healthOfAll(cmd, &c.connection)
			}
			return p.health(cmd, &c.connection)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().Bool("all", false, "every node, not the one that answers first")
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
		return exitOf(report.Status)
	})
}

// exitOf returns an error with the exit code of a status, nil of a healthy one.
func exitOf(s backend.HealthStatus) error {
	switch s {
	case backend.Healthy:
		return nil
	case backend.Degraded:
		return &codedError{code: exitDegraded, err: errQuiet}
	default:
		return &codedError{code: exitUnhealthy, err: errQuiet}
	}
}
