package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

type registerSettings struct {
	connection `koanf:",squash"`
	name       `koanf:",squash"`
	content    `koanf:",squash"`
	Permanent  bool `koanf:"permanent"`
}

func newRegister(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register SERVICE[/INSTANCE]",
		Short: "Register an instance of a service",
		Long: "Registers an instance of a service and returns. It stays until it is unregistered.\n" +
			"The instance is called <host>-<pid> unless it is named.",
		Example: "  roost register payments/i-1 --permanent --endpoint http=http://10.0.0.7:8080 \\\n" +
			"    --meta version=2.1.0 --meta 'limits={\"rps\":200}' --weight 50",
		Args: arguments(1, 1, "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s registerSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.register(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	nameFlags(cmd)
	contentFlags(cmd, backend.DefaultWeight, backend.Up.String())
	cmd.Flags().Bool("permanent", false, "without a lease: it stays until it is unregistered")
	return cmd
}

func (p *program) register(cmd *cobra.Command, service string, s *registerSettings) error {
	if !s.Permanent {
		return usagef("register %s: this version has no leases yet; say --permanent, and unregister it yourself", service)
	}
	r, err := s.registration(service)
	if err != nil {
		return err
	}
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) error {
		made, _, err := session.Register(ctx, r, client.Write{})
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error { return writeCard(w, &made) })
	})
}

// registration returns what the flags describe.
func (s *registerSettings) registration(service string) (client.Registration, error) {
	key, whole, err := s.key(service)
	if err != nil {
		return client.Registration{}, err
	}
	if !whole {
		if key.Instance, err = ownName(); err != nil {
			return client.Registration{}, err
		}
	}
	r := client.Registration{Key: key}
	if r.Endpoints, err = s.endpoints(); err != nil {
		return r, err
	}
	object, err := s.metadata()
	if err != nil {
		return r, err
	}
	if r.Metadata, err = backend.ParseMetadata(object); err != nil {
		return r, &usageError{err: err}
	}
	if r.Weight, err = s.weight(); err != nil {
		return r, err
	}
	if r.Status, err = backend.ParseStatus(s.Status); err != nil {
		return r, &usageError{err: err}
	}
	return r, nil
}

// ownName is the name of an instance that was given none.
func ownName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", usagef("name the instance: this host has no name: %w", err)
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid()), nil
}
