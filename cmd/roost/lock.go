package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/bus/client"
)

type lockSettings struct {
	roleSettings `koanf:",squash"`
	Shared       bool          `koanf:"shared"`
	Wait         time.Duration `koanf:"wait"`
}

func newLock(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lock NAME [flags] -- CMD [ARGS]",
		Short: "Run a command under a lock",
		Long: "Runs CMD while it holds the lock, exclusively, or with --shared beside others who share it. The\n" +
			"exit code is that of CMD, and 5 where the lock is not to be had within --wait, when CMD is not\n" +
			"started, or is lost.\n\n" + roleText,
		Example: "  roost lock nightly-backup -- ./backup.sh\n" +
			"  roost lock nightly-backup --wait 0s -- ./backup.sh\n" +
			"  roost lock ledger -- sh -c 'psql -v token=\"$ROOST_TOKEN\" -f close-month.sql'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var s lockSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			name, command, err := roleOf(cmd, args)
			if err != nil {
				return err
			}
			if s.Wait < 0 {
				return usagef("--wait %v: must not be negative", s.Wait)
			}
			return p.lock(cmd, name, command, &s)
		},
	}
	roleFlags(cmd)
	cmd.Flags().Bool("shared", false, "beside others who share it")
	waitFlag(cmd)
	return cmd
}

func waitFlag(cmd *cobra.Command) {
	cmd.Flags().Duration("wait", 30*time.Second, "how long to wait; 0s does not wait")
}

func (p *program) lock(cmd *cobra.Command, name string, command []string, s *lockSettings) error {
	o := client.LockOptions{Mode: client.Exclusive, Wait: s.Wait}
	if s.Shared {
		o.Mode = client.Shared
	}
	return p.underRole(cmd, "lock "+name, command, &s.roleSettings,
		func(ctx context.Context, c *client.Client, l *client.Lease) (*client.Hold, error) {
			if s.Wait == 0 {
				return c.Lock(s.Namespace, name).TryLock(ctx, l, o)
			}
			return c.Lock(s.Namespace, name).Lock(ctx, l, o)
		})
}

type semaphoreSettings struct {
	roleSettings `koanf:",squash"`
	Limit        int           `koanf:"limit"`
	Permits      int           `koanf:"permits"`
	Wait         time.Duration `koanf:"wait"`
}

func newSemaphore(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "semaphore NAME --limit N [flags] -- CMD [ARGS]",
		Short: "Run a command under a semaphore",
		Long: "Runs CMD while it holds --permits of a semaphore, of which there are --limit for all. The exit\n" +
			"code is that of CMD, and 5 where the permits are not to be had within --wait, when CMD is not\n" +
			"started, or are lost.\n\n" + roleText,
		Example: "  roost semaphore transcoders --limit 4 -- ffmpeg -i in.mp4 out.webm",
		RunE: func(cmd *cobra.Command, args []string) error {
			var s semaphoreSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			name, command, err := roleOf(cmd, args)
			switch {
			case err != nil:
				return err
			case s.Limit < 1:
				return usagef("semaphore %s: say how many permits there are, with --limit", name)
			case s.Permits < 1 || s.Permits > s.Limit:
				return usagef("--permits %d: must be 1 to the limit, which is %d", s.Permits, s.Limit)
			case s.Wait < 0:
				return usagef("--wait %v: must not be negative", s.Wait)
			}
			return p.semaphore(cmd, name, command, &s)
		},
	}
	roleFlags(cmd)
	cmd.Flags().Int("limit", 0, "how many permits there are, for all")
	cmd.Flags().Int("permits", 1, "how many CMD needs")
	waitFlag(cmd)
	return cmd
}

func (p *program) semaphore(cmd *cobra.Command, name string, command []string, s *semaphoreSettings) error {
	o := client.SemaphoreOptions{Permits: s.Permits, Wait: s.Wait}
	return p.underRole(cmd, "semaphore "+name, command, &s.roleSettings,
		func(ctx context.Context, c *client.Client, l *client.Lease) (*client.Hold, error) {
			if s.Wait == 0 {
				return c.Semaphore(s.Namespace, name, s.Limit).TryAcquire(ctx, l, o)
			}
			return c.Semaphore(s.Namespace, name, s.Limit).Acquire(ctx, l, o)
		})
}
