package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/roostbus/roost/modules/config"
)

// program is what a process is given.
type program struct {
	args           []string
	stdout, stderr io.Writer
	environ        []string
	version        string
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, p program) int {
	root := newRoot(&p) //nolint:contextcheck // commands get ctx from ExecuteContext
	root.SetArgs(p.args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if text := complaint(err); text != "" {
		for line := range strings.Lines(text) {
			fmt.Fprintln(p.stderr, "roost:", strings.TrimRight(line, "\n")) //nolint:errcheck // there is nowhere else to say it
		}
	}
	return exitCode(err)
}

// The groups of commands in the help.
const (
	groupServer = "server"
	groupReads  = "reads"
	groupWrites = "writes"
	groupCoord  = "coordination"
	groupAdmin  = "admin"
	groupOther  = "other"
)

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "roost",
		Short: "A service registry and coordination service on NATS",
		Long: "Roost is a service registry and coordination service whose only transport, store and cluster is\n" +
			"NATS.\n\n" +
			"Every flag has an environment variable and a key in the settings file: --store-dir is\n" +
			"ROOST_STORE_DIR and store_dir. A flag counts before the environment, that before the file.",
		Example: "  roost serve\n" +
			"  roost run payments --endpoint http=http://10.0.0.7:8080 -- ./payments\n" +
			"  roost lookup payments\n" +
			"  roost lock nightly-backup -- ./backup.sh",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q; see roost --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().String("config", "", "settings `FILE` in YAML")
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help", GroupID: groupOther})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Run a registry:"},
		&cobra.Group{ID: groupReads, Title: "Ask one:"},
		&cobra.Group{ID: groupWrites, Title: "Change one:"},
		&cobra.Group{ID: groupCoord, Title: "Coordinate through one:"},
		&cobra.Group{ID: groupAdmin, Title: "Look after one:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		groupServer: {newServe(p), newCluster(p), newBackend(p)},
		groupReads:  {newLookup(p), newList(p), newServices(p), newCount(p), newWatch(p), newHealth(p)},
		groupWrites: {newRegister(p), newRun(p), newUpdate(p), newUnregister(p), newLease(p)},
		groupCoord: {
			newElect(p), newLeader(p), newLock(p), newSemaphore(p), newBarrier(p), newCounter(p), newPropose(p), newVote(p),
		},
		groupAdmin: {newExport(p), newImport(p), newHistory(p)},
		groupOther: {newBench(p), newVersion(p), newCompletion()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
}

// settings fills into from the file, the environment and cmd's flags.
func (p *program) settings(cmd *cobra.Command, into any) error {
	file, err := p.settingsFile(cmd)
	if err != nil {
		return err
	}
	source := config.Sources{Flags: settable(cmd.Flags()), File: file, Environ: p.environ}
	for _, other := range cmd.Root().Commands() {
		source.Others = append(source.Others, settable(other.Flags()))
	}
	if err := source.Load(into); err != nil {
		return &usageError{err: err}
	}
	return nil
}

// settingsFile returns the name given by --config or its variable.
func (p *program) settingsFile(cmd *cobra.Command) (string, error) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return "", err
	}
	if !cmd.Flags().Changed("config") {
		for _, pair := range p.environ {
			if value, ok := strings.CutPrefix(pair, config.Variable("config")+"="); ok {
				file = value
			}
		}
	}
	return file, nil
}

// settable leaves out the flags that are no settings.
func settable(all *pflag.FlagSet) *pflag.FlagSet {
	some := pflag.NewFlagSet(all.Name(), pflag.ContinueOnError)
	all.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "help" {
			some.AddFlag(f)
		}
	})
	return some
}

// usageError is a wrong use of the command line or of a setting.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// arguments checks how many arguments a command takes; what names them.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s: %s is missing; see %s --help", cmd.Name(), what, cmd.CommandPath())
		case len(args) > most:
			return usagef("%s: %q is one argument too many; see %s --help", cmd.Name(), args[most], cmd.CommandPath())
		}
		return nil
	}
}

var errQuiet = errors.New("said already")
