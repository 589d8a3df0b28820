package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/bus/client"
)

type unregisterSettings struct {
	connection `koanf:",squash"`
	name       `koanf:",squash"`
	underLease `koanf:",squash"`
	IfRevision int    `koanf:"if_revision"`
	Reason     string `koanf:"reason"`
	Force      bool   `koanf:"force"`
}

func newUnregister(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unregister SERVICE/INSTANCE",
		Short: "Remove a registration",
		Long:  "Removes a registration. One that is not there is no error, unless --if-revision names one.",
		Example: "  roost unregister payments/i-1\n" +
			"  roost unregister payments/i-1 --if-revision 42 --reason 'moved to eu-west'",
		Args: arguments(1, 1, "SERVICE/INSTANCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s unregisterSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.unregister(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	nameFlags(cmd)
	underLeaseFlag(cmd)
	ifRevisionFlag(cmd)
	cmd.Flags().String("reason", "", "`TEXT` that is published with the removal")
	cmd.Flags().Bool("force", false, "whoever owns it; for operators")
	return cmd
}

func (p *program) unregister(cmd *cobra.Command, argument string, s *unregisterSettings) error {
	key, err := s.instance(argument)
	if err != nil {
		return err
	}
	if s.Force && s.IfRevision >= 0 {
		return usagef("--force removes whatever is there; it cannot be given with --if-revision")
	}
	return s.with(p, cmd, &s.connection, func(ctx context.Context, session *session, owner string) error {
		removal, _, err := session.Unregister(ctx, key, client.Write{Owner: owner, If: condition(s.IfRevision), Reason: s.Reason, Force: s.Force})
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error {
			text := "was not registered"
			if removal.Removed {
				text = fmt.Sprintf("unregistered at revision %d", removal.Revision)
			}
			_, err := fmt.Fprintf(w, "%s %s\n", visible(key.Service+"/"+shownInstance(key.Instance)), text)
			return err
		})
	})
}
