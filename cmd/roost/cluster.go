package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newCluster(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Change which nodes form the cluster",
		Long:  "Changes which nodes form the cluster of `roost serve --cluster-listen`. roost health --all shows them.",
		Example: "  roost health --all\n" +
			"  roost cluster remove n3",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q; see roost cluster --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	remove := &cobra.Command{
		Use:   "remove NODE",
		Short: "Forget a node that is gone for good",
		Long: "Has the cluster forget a node that is gone for good. It counts no more towards the majority that\n" +
			"every write needs, and what it kept is given to another node, if there is one more. A node that\n" +
			"is there is refused: stop it first. One that comes back under the same name need not be removed,\n" +
			"with or without its store directory. The exit code is 3 if no node of that name is known.",
		Example: "  roost cluster remove n3",
		Args:    arguments(1, 1, "NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c connection
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			return p.removeNode(cmd, &c, args[0])
		},
	}
	connectionFlags(remove)
	cmd.AddCommand(remove)
	return cmd
}

func (p *program) removeNode(cmd *cobra.Command, c *connection, name string) error {
	return p.with(cmd, c, func(ctx context.Context, session *session) error {
		removed, err := session.RemoveNode(ctx, name)
		if err != nil {
			return err
		}
		if !removed {
			return &codedError{code: exitNotFound, err: fmt.Errorf("remove %s: no node of that name is known; see roost health --all", name)}
		}
		return session.show(func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "removed %s\n", name)
			return err
		})
	})
}
