package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/cmd/roost/bench"
)

type benchSettings struct {
	connection    `koanf:",squash"`
	Only          []string      `koanf:"only"`
	Duration      time.Duration `koanf:"duration"`
	Rounds        int           `koanf:"rounds"`
	Connections   int           `koanf:"connections"`
	Registrations int           `koanf:"registrations"`
	Copied        int           `koanf:"copied"`
	Scale         int           `koanf:"scale"`
	Nodes         int           `koanf:"nodes"`
	Curves        bool          `koanf:"curves"`
	Subscribers   int           `koanf:"subscribers"`
	BatchSize     int           `koanf:"batch_size"`
	Leases        int           `koanf:"leases"`
	Beating       int           `koanf:"lease_connections"`
	Waiters       int           `koanf:"waiters"`
	SVG           string        `koanf:"svg"`
}

func newBench(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a registry against bare NATS in the same run",
		Long: "Measures a registry against bare NATS on the same server, in rounds in turn. Without --server it\n" +
			"starts a registry of its own, in a process and a directory of its own. One at --server must let\n" +
			"its clients use JetStream (--trusted-clients) for P3, P4, P6, P7, P8, P11 to P13b and P14b, and is cleared up\n" +
			"afterwards, but for the empty records of elections in the namespace roost-bench (P12, P14).\n\n" +
			"What cannot be measured is said, and the rest is measured all the same; the exit code is then 1.\n" +
			"Only ratios of one run mean anything on a machine that does other work besides.",
		Example: "  roost bench\n" +
			"  roost bench --curves --scale 1000000 --json --svg bench.svg > bench.json\n" +
			"  roost bench --only P1,P3 --duration 3s --rounds 7\n" +
			"  roost bench --nodes 3\n" +
			"  roost bench --server nats://127.0.0.1:4222 --json",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s benchSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return p.bench(ctx, &s)
		},
	}
	connectionFlags(cmd)
	d, fs := bench.DefaultConfig(), cmd.Flags()
	fs.Lookup("server").Usage = "`URL` of the NATS of a registry to measure (default: starts one)"
	fs.Lookup("timeout").Usage = "at most so long for one request"
	fs.Lookup("json").Usage = "print one JSON object"
	fs.String("svg", "", "draw a chart into `FILE`, too")
	fs.StringSlice("only", nil, "measure only these: "+strings.Join(bench.IDs(), ","))
	fs.Duration("duration", d.Duration, "of each side in each round")
	fs.Int("rounds", d.Rounds, "how often each is measured")
	fs.Int("connections", d.Connections, "that the load comes over")
	fs.Int("registrations", d.Registrations, "that are there before reads are measured")
	fs.Int("copied", d.Copied, "registrations that are there for P5 and P11 to copy")
	fs.Int("nodes", d.Nodes, "1: measure one node; 3: start three that form a cluster and measure P15, P16 and P16b")
	fs.Bool("curves", false, "measure P1, P3 and P11 with 1000, 10000, … registrations, too")
	fs.Int("scale", d.Scale, "registrations that P9, P10 and curves have at most")
	fs.Int("subscribers", d.Subscribers, "that P6 has at most")
	fs.Int("batch-size", d.BatchSize, "operations in one batch")
	fs.Int("leases", d.Leases, "that live in P8; P14b has a tenth of them end together")
	fs.Int("lease-connections", d.Beating, "that P8 keeps them alive over at most")
	fs.Int("waiters", d.Waiters, "that P13 has for one lock at most")
	cmd.AddCommand(newBenchReport(p), newBenchCompare(p), newBenchResponder(p), newBenchBare(p), newBenchStore(p), newBenchVictim(p))
	return cmd
}

// newBenchResponder is the other end of what bench compares with.
func newBenchResponder(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use: "responder", Hidden: true, Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s struct {
				connection `koanf:",squash"`
				Subject    string `koanf:"subject"`
			}
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			url, auth, err := s.resolve(p.environ)
			if err != nil {
				return err
			}
			return bench.Respond(cmd.Context(), url, s.Subject, auth, os.Stdin, p.stdout)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().String("subject", "", "where orders come in")
	return cmd
}

// newBenchBare is a bare NATS server that bench compares with.
func newBenchBare(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bare", Hidden: true, Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s struct {
				connection `koanf:",squash"`
				Size       int `koanf:"size"`
			}
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return bench.Bare(cmd.Context(), s.Prefix, s.Size, os.Stdin, p.stdout)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().Int("size", 0, "of an answer")
	return cmd
}

// newBenchStore is a bare NATS server with streams that bench compares with.
func newBenchStore(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Hidden: true, Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s struct {
				Dir string `koanf:"store_dir"`
			}
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return bench.Store(cmd.Context(), s.Dir, os.Stdin, p.stdout)
		},
	}
	cmd.Flags().String("store-dir", "", "of its streams")
	return cmd
}

// newBenchVictim is a process that bench kills or stops.
func newBenchVictim(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use: "victim", Hidden: true, Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s struct {
				connection `koanf:",squash"`
				Key        string        `koanf:"key"`
				Election   string        `koanf:"election"`
				TTL        time.Duration `koanf:"ttl"`
				Grace      time.Duration `koanf:"grace"`
			}
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			url, auth, err := s.resolve(p.environ)
			if err != nil {
				return err
			}
			d := bench.Doomed{URL: url, Options: auth, Prefix: s.Prefix, Key: s.Key, Election: s.Election, TTL: s.TTL, Grace: s.Grace}
			return bench.Victim(cmd.Context(), d, os.Stdin, p.stdout)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().String("key", "", "to register")
	cmd.Flags().String("election", "", "to lead")
	cmd.Flags().Duration("ttl", 0, "of its lease")
	cmd.Flags().Duration("grace", 0, "of its lease")
	return cmd
}

func (p *program) bench(ctx context.Context, s *benchSettings) error {
	c := bench.DefaultConfig()
	c.Server = s.Server
	c.Only, c.Duration, c.Rounds, c.Connections = s.Only, s.Duration, s.Rounds, s.Connections
	c.Registrations, c.Copied, c.Subscribers, c.Scale = s.Registrations, s.Copied, s.Subscribers, s.Scale
	c.Curves, c.Nodes = s.Curves, s.Nodes
	c.Leases, c.Beating, c.Waiters = s.Leases, s.Beating, s.Waiters
	c.BatchSize, c.Prefix, c.Timeout, c.Version = s.BatchSize, s.Prefix, s.Timeout, p.version
	if err := c.Validate(); err != nil {
		return &usageError{err: err}
	}
	var err error
	if c.Program.Path, err = os.Executable(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	c.Program.Environ, c.Program.Responder = p.environ, []string{"bench", "responder"}
	c.Program.Bare, c.Program.Victim = []string{"bench", "bare"}, []string{"bench", "victim"}
	c.Program.Store = []string{"bench", "store"}
	if s.Server != "" || s.Context != "" {
		if c.Server, c.Options, err = s.resolve(p.environ); err != nil {
			return err
		}
		c.Program.Responder = append(c.Program.Responder, s.credentials()...)
		c.Program.Victim = append(c.Program.Victim, s.credentials()...)
	}
	if err := writable(s.SVG); err != nil { // known now, and not in an hour
		return fmt.Errorf("bench: %w", err)
	}
	if width := terminalWidth(p.stderr); width > 1 && !s.Quiet {
		c.Progress = func(what string) { // a line that is broken would stay
			fmt.Fprintf(p.stderr, "\r\x1b[K%.*s", width-1, what) //nolint:errcheck // it is gone in a moment anyway
		}
		defer fmt.Fprint(p.stderr, "\r\x1b[K") //nolint:errcheck // as above
	}
	report, err := bench.Run(ctx, c)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	switch {
	case s.Quiet:
		err = nil
	case s.JSON:
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	default:
		err = report.Print(p.stdout)
	}
	if err == nil {
		err = drawReport(report, s.SVG)
	}
	if failure := report.Failure(); err == nil && failure != nil {
		err = fmt.Errorf("bench: %w", failure)
	}
	return err
}

// credentials are the flags by which another process of this program connects as c does.
func (c *connection) credentials() (args []string) {
	for _, f := range []struct{ flag, value string }{
		{"--context", c.Context},
		{"--creds", c.Creds},
		{"--nkey", c.NKey},
		{"--tls-ca", c.TLSCA},
		{"--tls-cert", c.TLSCert},
		{"--tls-key", c.TLSKey},
	} {
		if f.value != "" {
			args = append(args, f.flag, f.value)
		}
	}
	return args
}
