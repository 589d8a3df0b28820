package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/cmd/roost/child"
)

type runSettings struct {
	connection    `koanf:",squash"`
	identity      `koanf:",squash"`
	leaseSettings `koanf:",squash"`
	probe         `koanf:",squash"`
	MaxRestarts   int           `koanf:"max_restarts"`
	Within        time.Duration `koanf:"within"`
	StopGrace     time.Duration `koanf:"stop_grace"`
}

func newRun(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run SERVICE[/INSTANCE] [flags] -- CMD [ARGS]",
		Short: "Run a program and register it for as long as it runs",
		Long: "Registers an instance of a service, starts CMD, and unregisters the instance when CMD has ended.\n" +
			"The instance is there before CMD starts, with the status \"down\", and gets its --status when CMD\n" +
			"runs, or, with --health-http or --health-cmd, when that says that CMD is well.\n\n" +
			"A CMD that fails is started again, at most --max-restarts times --within a while; meanwhile it is\n" +
			"\"down\". One that succeeds ends this command, and so does a signal, which is passed on to CMD and\n" +
			"all that it has started: the status is \"draining\" from then until it ends. An outage of the\n" +
			"registry stops nothing: the instance is registered again by itself.\n\n" +
			"The exit code is that of CMD, 126 or 127 where it cannot be started, and 5, without starting\n" +
			"it, where it cannot be registered.",
		Example: "  roost run payments --endpoint http=http://10.0.0.7:8080 -- ./payments --port 8080\n" +
			"  roost run payments/i-1 --health-http http://127.0.0.1:8080/healthz --health-interval 5s -- ./payments",
		RunE: func(cmd *cobra.Command, args []string) error {
			var s runSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			service, command, err := commandOf(cmd, args, "SERVICE")
			if err != nil {
				return err
			}
			return p.run(cmd, service, command, &s)
		},
	}
	connectionFlags(cmd)
	nameFlags(cmd)
	contentFlags(cmd, backend.DefaultWeight, backend.Up.String())
	leaseFlags(cmd, 20*time.Second)
	fs := cmd.Flags()
	probeFlags(fs)
	fs.Int("max-restarts", 10, "so often CMD may fail and is started again")
	fs.Duration("within", time.Minute, "in so long a time")
	fs.Duration("stop-grace", 10*time.Second, "how long CMD may take to end before it is killed, where it must end")
	fs.Lookup("timeout").Usage = "at most so long for each request"
	return cmd
}

// commandOf splits the arguments of a command that runs another one: one before "--", named
// what, and at least one after it.
func commandOf(cmd *cobra.Command, args []string, what string) (argument string, command []string, err error) {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0 && len(args) > 1, dash < 0 && len(args) == 1, dash >= 0 && len(args) == dash:
		return "", nil, usagef("%s: the command to run is missing; give it after --, see %s --help", cmd.Name(), cmd.CommandPath())
	case len(args) == 0 || dash == 0:
		return "", nil, usagef("%s: %s is missing; see %s --help", cmd.Name(), what, cmd.CommandPath())
	case dash > 1:
		return "", nil, usagef("%s: %q is one argument too many before --; see %s --help", cmd.Name(), args[1], cmd.CommandPath())
	}
	return args[0], args[dash:], nil
}

func (s *runSettings) validate() error {
	switch {
	case s.MaxRestarts < 0:
		return usagef("--max-restarts %d: must not be negative", s.MaxRestarts)
	case s.Within <= 0:
		return usagef("--within %v: must be positive", s.Within)
	case s.StopGrace < 0:
		return usagef("--stop-grace %v: must not be negative", s.StopGrace)
	}
	return s.probe.validate()
}

func (p *program) run(cmd *cobra.Command, service string, command []string, s *runSettings) error {
	if err := s.validate(); err != nil {
		return err
	}
	r, err := s.registration(service)
	if err != nil {
		return err
	}
	up := r.Status
	r.Status = backend.Down
	signals, stop := child.Signals()
	defer stop()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	here, err := p.begin(ctx, cmd, s, r, signals)
	if err != nil {
		return err
	}
	defer here.vanish(context.WithoutCancel(ctx))
	v := &supervisor{
		runSettings: s, statusChanger: newStatusChanger(here), up: up,
		command:  child.Command{Args: command, Grace: s.StopGrace},
		restarts: child.Restarts{Max: s.MaxRestarts, Within: s.Within},
		signals:  signals,
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { v.statusChanger.run(ctx) })
	tasks.Go(func() { v.runner.Reap(ctx) })
	return v.supervise(ctx)
}

// begin registers r, unless the process is asked to end meanwhile. An instance that cannot
// be registered is one that is not started.
func (p *program) begin(ctx context.Context, cmd *cobra.Command, s *runSettings, r client.Registration, signals <-chan os.Signal) (*presence, error) {
	waiting, stop := asked(ctx, signals)
	here, _, err := p.appear(waiting, cmd, &s.connection, &s.leaseSettings, r)
	stop()
	if cause := context.Cause(waiting); err == nil && errors.Is(cause, errAsked) {
		here.vanish(context.WithoutCancel(ctx))
		err = cause
	}
	if err == nil {
		return here, nil
	}
	return nil, notStarted(err)
}

// supervisor keeps a child running and says how it is.
type supervisor struct {
	*runSettings
	*statusChanger
	up       client.Status // of a child that is well
	runner   child.Runner
	command  child.Command
	restarts child.Restarts
	signals  <-chan os.Signal
	ending   bool // the child was told to
}

// supervise runs the child, again and again while it fails, and returns how it ended.
func (v *supervisor) supervise(ctx context.Context) error {
	for {
		exit, err := v.once(ctx)
		if failure, ok := errors.AsType[*child.StartError](err); ok {
			return &codedError{code: failure.Code, err: err}
		}
		if err != nil {
			return err
		}
		if v.ending || exit.OK() {
			return ended(exit)
		}
		pause, again := v.restarts.Again(time.Now())
		if !again {
			v.sayf("%s: %v; it has failed more than %d times within %v", v.command.Args[0], exit, v.MaxRestarts, v.Within)
			return ended(exit)
		}
		v.set(backend.Down)
		v.sayf("%s: %v; starting it again in %v", v.command.Args[0], exit, pause)
		if !v.rest(ctx, pause) {
			return ended(exit)
		}
	}
}

// ended is the error of a command that ends as its child did.
func ended(exit child.Exit) error {
	switch {
	case exit.Err != nil:
		return exit.Err
	case exit.Code == 0:
		return nil
	}
	return &codedError{code: exit.Code, err: errQuiet}
}

// rest waits for a restart. It reports false when the process is asked to end.
func (v *supervisor) rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case signal := <-v.signals:
			if child.Ends(signal) {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

// once runs the child until it has ended.
func (v *supervisor) once(ctx context.Context) (child.Exit, error) {
	process, err := v.runner.Start(v.command)
	if err != nil {
		return child.Exit{}, err
	}
	asking, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stop()
	if v.asked() {
		tasks.Go(func() { v.watchOver(asking) })
	} else {
		v.set(v.up)
	}
	for {
		select {
		case <-process.Done():
			return process.Exit(), nil
		case signal := <-v.signals:
			if child.Ends(signal) {
				stop()
				v.ending = true
				v.finally(backend.Draining)
			}
			process.Signal(signal)
		case <-v.Done():
			v.sayf("cannot stay registered: %v; stopping %s", v.Err(), v.command.Args[0])
			process.Stop(ctx)
			return child.Exit{}, &codedError{code: exitUnavailable, err: errQuiet}
		case <-ctx.Done():
			v.ending = true
			return process.Stop(ctx), nil
		}
	}
}

// watchOver asks the child how it is, until ctx is done, and says so when it changes.
func (v *supervisor) watchOver(ctx context.Context) {
	var last error
	for first := true; ; first = false {
		err := v.ask(ctx, &v.runner)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil && (first || last != nil):
			v.set(v.up)
			v.sayf("%s is well", v.command.Args[0])
		case err != nil && (first || last == nil):
			v.set(backend.Down)
			v.sayf("%s is not well: %v", v.command.Args[0], err)
		}
		last = err
		select {
		case <-time.After(v.Interval):
		case <-ctx.Done():
			return
		}
	}
}
