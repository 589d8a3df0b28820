package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

type lookupSettings struct {
	connection  `koanf:",squash"`
	name        `koanf:",squash"`
	Consistency string `koanf:"consistency"`
}

func newLookup(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lookup SERVICE[/INSTANCE]",
		Short: "Look up one instance of a service, or all of them",
		Example: "  roost lookup payments\n" +
			"  roost lookup payments/i-1 --json\n" +
			"  roost lookup boss --unique",
		Args: arguments(1, 1, "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s lookupSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.lookup(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	nameFlags(cmd)
	consistencyFlag(cmd)
	return cmd
}

func (p *program) lookup(cmd *cobra.Command, argument string, s *lookupSettings) error {
	key, whole, err := s.key(argument)
	if err != nil {
		return err
	}
	consistency, err := backend.ParseConsistency(s.Consistency)
	if err != nil {
		return &usageError{err: err}
	}
	read := client.Read{Consistency: consistency}
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) error {
		if !whole {
			return session.lookupService(ctx, key, read)
		}
		found, _, err := session.Lookup(ctx, key, read)
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error { return writeCard(w, &found) })
	})
}

// lookupService shows all instances of a service; none is an error, unlike in a list.
func (s *session) lookupService(ctx context.Context, key client.Key, read client.Read) error {
	found, err := s.everything(ctx, client.Query{Scope: client.Scope{Namespace: key.Namespace, Service: key.Service}, Read: read})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("lookup %s in namespace %s: %w", key.Service, key.Namespace, client.ErrNotFound)
	}
	return s.show(func(w io.Writer) error { return writeRegistrations(w, found, false) })
}
