package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

func newLease(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lease",
		Short: "Grant, keep, show and revoke leases",
		Long: "Leases for scripts, and a look at everybody's. A lease is known by its secret to whoever uses\n" +
			"it, and by its owner to everybody else. What is registered with --lease SECRET, or with the\n" +
			"environment variable ROOST_LEASE, ends with the lease.",
		Example: "  export ROOST_LEASE=$(roost lease grant --ttl 1m)\n" +
			"  roost register payments/i-1\n" +
			"  roost lease keep $ROOST_LEASE\n" +
			"  roost lease list\n" +
			"  roost lease revoke $ROOST_LEASE",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q; see roost lease --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLeaseGrant(p), newLeaseKeep(p), newLeaseGet(p), newLeaseList(p), newLeaseRevoke(p))
	return cmd
}

type leaseGrantSettings struct {
	connection `koanf:",squash"`
	TTL        time.Duration `koanf:"ttl"`
	Name       string        `koanf:"name"`
}

func newLeaseGrant(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Grant a lease and print its secret",
		Long: "Grants a lease and prints its secret, with which it is kept alive and used; nobody else learns it.\n" +
			"It ends when it is not kept alive for its --ttl.",
		Example: "  roost lease grant --ttl 1m --name nightly-backup",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s leaseGrantSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.leaseGrant(cmd, &s)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().Duration("ttl", 15*time.Second, "how long it lives without being kept alive")
	cmd.Flags().String("name", "", "`NAME` for people")
	cmd.Flags().Lookup("json").Usage = "print the registry's reply and, as lease, the secret"
	return cmd
}

func (p *program) leaseGrant(cmd *cobra.Command, s *leaseGrantSettings) error {
	if s.TTL <= 0 {
		return usagef("--ttl %v: must be positive", s.TTL)
	}
	quiet := s.connection
	quiet.JSON = false // the registry does not know the secret to print
	return p.with(cmd, &quiet, func(ctx context.Context, session *session) error {
		granted, err := session.GrantLoose(ctx, client.LeaseOptions{TTL: s.TTL, Name: s.Name})
		if err != nil {
			return err
		}
		switch {
		case s.JSON:
			return json.NewEncoder(p.stdout).Encode(struct {
				Lease   string `json:"lease"`
				Owner   string `json:"owner"`
				TTLMs   int64  `json:"ttl_ms"`
				GraceMs int64  `json:"grace_ms"`
			}{granted.Secret, granted.Owner, granted.TTL.Milliseconds(), granted.Grace.Milliseconds()})
		case !s.Quiet:
			fmt.Fprintf(p.stderr, "roost: granted to owner %s; it ends after %v without roost lease keep\n", granted.Owner, granted.TTL) //nolint:errcheck // there is nowhere else to say it
		}
		_, err = fmt.Fprintln(p.stdout, granted.Secret) // also with --quiet: it is what was asked for
		return err
	})
}

func newLeaseKeep(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keep SECRET...",
		Short: "Keep leases alive",
		Long: "Says once that leases live. The exit code is 4 if one of them has ended; the others are kept\n" +
			"alive all the same.",
		Example: "  roost lease keep $ROOST_LEASE",
		Args:    arguments(1, 1000, "SECRET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c connection
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			return p.with(cmd, &c, func(ctx context.Context, session *session) error {
				expired, err := session.KeepAlive(ctx, args...)
				if err == nil && len(expired) > 0 {
					err = fmt.Errorf("keep %s alive: %w: owner %s", counted(len(args), "lease"), backend.ErrLeaseExpired, strings.Join(expired, ", "))
				}
				return err
			})
		},
	}
	connectionFlags(cmd)
	return cmd
}

func newLeaseGet(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get OWNER",
		Short:   "Show one lease",
		Example: "  roost lease get k5zqn3xv7c2jy4ptwd6m5rlbaf",
		Args:    arguments(1, 1, "OWNER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c connection
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			return p.with(cmd, &c, func(ctx context.Context, session *session) error {
				l, _, err := session.LeaseGet(ctx, args[0], client.Read{})
				if err != nil {
					return noLease(err)
				}
				return session.show(func(w io.Writer) error { return writeLeases(w, []client.LeaseInfo{l}) })
			})
		},
	}
	connectionFlags(cmd)
	return cmd
}

func newLeaseList(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show all leases",
		Example: "  roost lease list",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c connection
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			return p.with(cmd, &c, func(ctx context.Context, session *session) error {
				var all []client.LeaseInfo
				for l, err := range session.Leases(ctx) {
					if err != nil {
						return err
					}
					all = append(all, l)
				}
				return session.show(func(w io.Writer) error { return writeLeases(w, all) })
			})
		},
	}
	connectionFlags(cmd)
	return cmd
}

type leaseRevokeSettings struct {
	connection `koanf:",squash"`
	Owner      bool   `koanf:"owner"`
	Reason     string `koanf:"reason"`
}

func newLeaseRevoke(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke SECRET",
		Short: "End a lease and all that belongs to it",
		Long: "Ends a lease and all that belongs to it. With --owner, for operators, it is named by its owner.\n" +
			"A program that holds a session is granted another lease then.",
		Example: "  roost lease revoke $ROOST_LEASE\n" +
			"  roost lease revoke --owner k5zqn3xv7c2jy4ptwd6m5rlbaf --reason 'lost its disk'",
		Args: arguments(1, 1, "SECRET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s leaseRevokeSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.leaseRevoke(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().Bool("owner", false, "the argument is an owner; for operators")
	cmd.Flags().String("reason", "", "`TEXT` that is published with the removals; with --owner")
	return cmd
}

func (p *program) leaseRevoke(cmd *cobra.Command, who string, s *leaseRevokeSettings) error {
	if s.Reason != "" && !s.Owner {
		return usagef("--reason is for operators, with --owner")
	}
	return p.with(cmd, &s.connection, func(ctx context.Context, session *session) (err error) {
		removed := 0
		if s.Owner {
			removed, err = session.AdminRevoke(ctx, who, s.Reason)
			err = noLease(err)
		} else {
			removed, err = session.RevokeSecret(ctx, who)
		}
		if err != nil {
			return err
		}
		return session.show(func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "revoked; %s removed\n", counted(removed, "registration"))
			return err
		})
	})
}

// noLease says of one that is not found where others are to be found.
func noLease(err error) error {
	if errors.Is(err, backend.ErrNotFound) {
		return &codedError{code: exitNotFound, err: fmt.Errorf("%w; see which live with: roost lease list", err)}
	}
	return err
}

func writeLeases(w io.Writer, all []client.LeaseInfo) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no leases")
		return err
	}
	t := table{
		headings: []string{"OWNER", "NAME", "STATE", "TTL", "REMAINING", "REGISTRATIONS", "GRANTED"},
		flexible: []int{1},
	}
	for _, l := range all {
		t.add(l.Owner, l.Name, string(l.State), l.TTL.String(), l.Remaining.Round(100*time.Millisecond).String(),
			strconv.Itoa(l.Registrations), shownTime(l.GrantedAt))
	}
	return t.write(w, terminalWidth(w))
}

// underLease is the setting of commands that write as the owner of a lease.
type underLease struct {
	Lease string `koanf:"lease"`
}

func underLeaseFlag(cmd *cobra.Command) {
	cmd.Flags().String("lease", "", "`SECRET` of the lease that it belongs to, or is to belong to")
}

// with is the program's, as the owner of the lease that was given, if one was.
func (u *underLease) with(p *program, cmd *cobra.Command, c *connection, f func(ctx context.Context, s *session, owner string) error) error {
	if u.Lease == "" {
		return p.with(cmd, c, func(ctx context.Context, s *session) error { return f(ctx, s, "") })
	}
	owner, err := client.OwnerOf(u.Lease)
	if err != nil {
		return &usageError{err: err}
	}
	return p.with(cmd, c, func(ctx context.Context, s *session) error { return f(ctx, s, owner) }, client.WithSecrets(u.Lease))
}
