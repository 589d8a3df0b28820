package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// identity is who is registered, and what it says about itself.
type identity struct {
	name    `koanf:",squash"`
	content `koanf:",squash"`
}

type registerSettings struct {
	connection    `koanf:",squash"`
	identity      `koanf:",squash"`
	leaseSettings `koanf:",squash"`
	underLease    `koanf:",squash"`
	Permanent     bool `koanf:"permanent"`
}

func newRegister(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register SERVICE[/INSTANCE]",
		Short: "Register an instance of a service",
		Long: "Registers an instance of a service and holds the registration, with a lease, until it is\n" +
			"interrupted: then the instance is unregistered. If this process is killed the registration goes\n" +
			"within --grace, if it hangs within --ttl; an outage of the registry ends nothing. To register a\n" +
			"program for as long as it runs see: roost run.\n\n" +
			"With --permanent it registers without a lease and returns; the instance stays until it is\n" +
			"unregistered. With --lease it registers with that one, see roost lease, and returns. The instance is called <host>-<pid> unless it is named.",
		Example: "  roost register payments --endpoint http=http://10.0.0.7:8080 --meta version=2.1.0\n" +
			"  roost register payments/i-1 --permanent --endpoint http=http://10.0.0.7:8080 \\\n" +
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
	leaseFlags(cmd, 0)
	underLeaseFlag(cmd)
	cmd.Flags().Bool("permanent", false, "without a lease: it stays until it is unregistered")
	cmd.Flags().Lookup("timeout").Usage = "at most so long for each request"
	return cmd
}

func (p *program) register(cmd *cobra.Command, service string, s *registerSettings) error {
	r, err := s.registration(service)
	if err != nil {
		return err
	}
	if s.Permanent && s.Lease != "" {
		return usagef("--permanent is without a lease; it cannot be given with --lease")
	}
	if s.Permanent || s.Lease != "" {
		return s.with(p, cmd, &s.connection, func(ctx context.Context, session *session, owner string) error {
			made, _, err := session.Register(ctx, r, client.Write{Owner: owner})
			if err != nil {
				return err
			}
			return session.show(func(w io.Writer) error { return writeCard(w, &made) })
		})
	}
	return p.hold(cmd, s, r)
}

// hold registers r until the process is asked to end.
func (p *program) hold(cmd *cobra.Command, s *registerSettings, r client.Registration) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	here, made, err := p.appear(ctx, cmd, &s.connection, &s.leaseSettings, r)
	if err != nil {
		return err
	}
	defer here.vanish(context.WithoutCancel(ctx))
	if !s.JSON && !s.Quiet {
		if err := writeCard(p.stdout, &made); err != nil {
			return err
		}
	}
	here.sayf("registered until this process ends")
	select {
	case <-ctx.Done():
		stop() // a second signal ends the process at once
		return nil
	case <-here.Done():
		return fmt.Errorf("hold %s: %w", visible(r.Key.String()), here.Err())
	}
}

// registration returns what the flags describe.
func (s *identity) registration(service string) (client.Registration, error) {
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
