package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

type updateSettings struct {
	connection `koanf:",squash"`
	name       `koanf:",squash"`
	content    `koanf:",squash"`
	underLease `koanf:",squash"`
	Merge      bool `koanf:"merge"`
	IfRevision int  `koanf:"if_revision"`
}

func newUpdate(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update SERVICE/INSTANCE",
		Short: "Change a registration",
		Long: "Replaces what is given and leaves the rest. With --merge the metadata is merged into what is\n" +
			"there, and a VALUE of null removes its key.",
		Example: "  roost update payments/i-1 --status draining\n" +
			"  roost update payments/i-1 --merge --meta version=2.2.0 --meta canary=null --if-revision 42",
		Args: arguments(1, 1, "SERVICE/INSTANCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s updateSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.update(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	nameFlags(cmd)
	contentFlags(cmd, -1, "")
	cmd.Flags().Bool("merge", false, "merge --meta into the metadata instead of replacing it")
	underLeaseFlag(cmd)
	ifRevisionFlag(cmd)
	return cmd
}

// ifRevisionFlag adds --if-revision, which is -1 if it was not given.
func ifRevisionFlag(cmd *cobra.Command) {
	cmd.Flags().Int("if-revision", -1, "only if the registration is at revision `N`")
	cmd.Flags().Lookup("if-revision").DefValue = "0" // so that the help shows none
}

// condition returns what --if-revision asks for.
func condition(revision int) client.Condition {
	if revision < 0 {
		return client.Condition{}
	}
	return client.IfRevision(client.Revision(revision))
}

func (p *program) update(cmd *cobra.Command, argument string, s *updateSettings) error {
	key, err := s.instance(argument)
	if err != nil {
		return err
	}
	change, err := s.change()
	if err != nil {
		return err
	}
	return s.with(p, cmd, &s.connection, func(ctx context.Context, session *session, owner string) error {
		changed, _, err := session.Update(ctx, key, change, client.Write{Owner: owner, If: condition(s.IfRevision)})
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error { return writeCard(w, &changed) })
	})
}

// change returns what the flags ask for.
func (s *updateSettings) change() (client.Change, error) {
	var c client.Change
	if len(s.Endpoints) > 0 {
		endpoints, err := s.endpoints()
		if err != nil {
			return c, err
		}
		c.Endpoints = &endpoints
	}
	if len(s.Meta) > 0 {
		if err := s.changeMetadata(&c); err != nil {
			return c, err
		}
	} else if s.Merge {
		return c, usagef("--merge is about --meta, which is missing")
	}
	if s.Weight >= 0 {
		weight, err := s.weight()
		if err != nil {
			return c, err
		}
		c.Weight = &weight
	}
	if s.Status != "" {
		status, err := backend.ParseStatus(s.Status)
		if err != nil {
			return c, &usageError{err: err}
		}
		c.Status = &status
	}
	if c == (client.Change{}) {
		return c, usagef("update: nothing to change; give --endpoint, --meta, --weight or --status")
	}
	return c, nil
}

func (s *updateSettings) changeMetadata(c *client.Change) error {
	object, err := s.metadata()
	if err != nil {
		return err
	}
	parse, into := backend.ParseMetadata, &c.Metadata
	if s.Merge {
		parse, into = backend.ParsePatch, &c.Merge
	}
	metadata, err := parse(object)
	if err != nil {
		return &usageError{err: err}
	}
	*into = &metadata
	return nil
}
