package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/cmd/roost/child"
)

// role is something that this process has for as long as its lease certainly lives.
type role interface {
	Context(ctx context.Context) (context.Context, context.CancelFunc)
	ContextBefore(ctx context.Context, early time.Duration) (context.Context, context.CancelFunc)
}

// roleSettings are those of commands that run another one in a role.
type roleSettings struct {
	connection `koanf:",squash"`
	Namespace  string        `koanf:"namespace"`
	TTL        time.Duration `koanf:"ttl"`
	Grace      time.Duration `koanf:"grace"`
	StopGrace  time.Duration `koanf:"stop_grace"`
}

const roleText = "CMD is told to stop (SIGTERM) --stop-grace before the role could pass on, and killed, with all\n" +
	"that it has started, at the latest when it could: so it never outlasts the role, unless\n" +
	"roost itself or this host stands still. For that there is the token, in ROOST_TOKEN: a resource\n" +
	"that remembers the greatest it has seen and refuses lower ones, as text, is safe."

func roleFlags(cmd *cobra.Command) {
	connectionFlags(cmd)
	fs := cmd.Flags()
	fs.String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the name")
	fs.Duration("ttl", 15*time.Second, "the role passes on when nothing is heard of this process for so long")
	fs.Duration("grace", 10*time.Second, "and for so long when its connection is closed")
	fs.Duration("stop-grace", 3*time.Second, "how long CMD may take to stop")
	fs.Lookup("timeout").Usage = "at most so long for each request"
}

func (s *roleSettings) validate() error {
	switch {
	case s.TTL < time.Second || s.TTL > 24*time.Hour:
		return usagef("--ttl %v: must be 1s to 24h", s.TTL)
	case s.Grace < 0 || s.Grace > 24*time.Hour:
		return usagef("--grace %v: must be 0 to 24h", s.Grace)
	case s.StopGrace < 0:
		return usagef("--stop-grace %v: must not be negative", s.StopGrace)
	case s.StopGrace >= s.Grace/2 || s.StopGrace >= s.TTL/2:
		return usagef("--stop-grace %v: must be less than half of --grace %v and of --ttl %v, or every short loss of the connection stops CMD",
			s.StopGrace, s.Grace, s.TTL)
	}
	return nil
}

// roleOf returns the name of the role and the command of "NAME -- CMD [ARGS]".
func roleOf(cmd *cobra.Command, args []string) (name string, command []string, err error) {
	name, command, err = commandOf(cmd, args, "NAME")
	if err == nil {
		err = backend.ValidateName("name", name)
	}
	return name, command, err
}

// stage is where a command acts in a role.
type stage struct {
	*roleSettings
	client  *client.Client
	lease   *client.Lease
	runner  child.Runner
	command []string
	signals <-chan os.Signal
	said    io.Writer // nil for nothing
}

func (s *stage) sayf(format string, args ...any) {
	if s.said != nil {
		fmt.Fprintf(s.said, "roost: "+format+"\n", args...) //nolint:errcheck // there is nowhere else to say it
	}
}

// perform connects, is granted a lease, has f take on the role and act in it, and gives
// everything up. f's context ends when the process is asked to end while no child runs.
func (p *program) perform(cmd *cobra.Command, name string, command []string, s *roleSettings, f func(ctx context.Context, s *stage) error) error {
	if err := s.validate(); err != nil {
		return err
	}
	st := &stage{roleSettings: s, command: command}
	if !s.Quiet {
		st.said = p.stderr
	}
	signals, stop := child.Signals()
	defer stop()
	st.signals = signals
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	var err error
	if st.client, err = p.connect(ctx, cmd, &s.connection); err != nil {
		return notStarted(err)
	}
	defer st.leave(context.WithoutCancel(ctx))
	st.lease, err = st.client.Grant(ctx, client.LeaseOptions{TTL: s.TTL, Grace: &s.Grace, Name: shortened(name)})
	if err != nil {
		return notStarted(err)
	}
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		st.runner.Reap(ctx)
	}()
	err = f(ctx, st)
	cancel()
	<-reaped
	return err
}

// shortened fits a name into what a lease may be called.
func shortened(name string) string {
	if len(name) > backend.MaxName {
		name = strings.ToValidUTF8(name[:backend.MaxName], "")
	}
	return name
}

// notStarted is the error of a command whose role was not granted.
func notStarted(err error) error {
	if _, wrong := errors.AsType[*usageError](err); wrong || errors.Is(err, backend.ErrInvalid) {
		return err
	}
	return &codedError{code: exitUnavailable, err: fmt.Errorf("%s; the command was not started", complaint(aboutObject(err)))}
}

// leave gives the lease up, and with it every role.
func (s *stage) leave(ctx context.Context) {
	if s.lease != nil {
		ctx, cancel := context.WithTimeout(ctx, goodbye)
		defer cancel()
		if err := s.lease.Revoke(ctx); err != nil {
			s.sayf("cannot give the role up: %v; it passes on by itself within %v", err, s.TTL)
		}
	}
	if err := s.client.Close(); err != nil {
		s.sayf("close the connection: %v", err)
	}
}

// asked returns a context that ends with ctx or when a signal asks the process to end, until
// the returned function is called: from then on signals are for somebody else.
func asked(ctx context.Context, signals <-chan os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case signal := <-signals:
				if child.Ends(signal) {
					cancel(fmt.Errorf("%w: %v", errAsked, signal))
					return
				}
			case <-over:
				return
			}
		}
	}()
	return ctx, func() {
		close(over)
		<-done
		cancel(nil)
	}
}

var errAsked = errors.New("asked to end")

// act runs the command in r. lost says why it was stopped, if it was because the role was
// not certain any more.
func (s *stage) act(ctx context.Context, r role, env ...string) (exit child.Exit, lost, err error) {
	until, stop := r.Context(ctx)
	defer stop()
	early, cancel := r.ContextBefore(ctx, s.StopGrace)
	defer cancel()
	process, err := s.runner.Start(child.Command{Args: s.command, Env: env, Grace: s.StopGrace})
	if err != nil {
		return exit, nil, err
	}
	for {
		select {
		case <-process.Done():
			return process.Exit(), nil, nil
		case signal := <-s.signals:
			process.Signal(signal)
		case <-early.Done():
			why := context.Cause(early)
			if ctx.Err() == nil {
				s.sayf("stopping %s: %v", s.command[0], why)
			}
			return process.Stop(until), why, nil
		}
	}
}

// finished is the error of a command that has acted.
func finished(exit child.Exit, err error) error {
	if failure, ok := errors.AsType[*child.StartError](err); ok {
		return &codedError{code: failure.Code, err: err}
	}
	if err != nil {
		return err
	}
	return ended(exit)
}

// underRole runs the command once in the role that take returns, and gives the role up.
func (p *program) underRole(
	cmd *cobra.Command, name string, command []string, s *roleSettings,
	take func(ctx context.Context, c *client.Client, l *client.Lease) (*client.Hold, error),
) error {
	return p.perform(cmd, name, command, s, func(ctx context.Context, st *stage) error {
		waiting, stop := asked(ctx, st.signals)
		hold, err := take(waiting, st.client, st.lease)
		stop()
		if err != nil {
			if errors.Is(context.Cause(waiting), errAsked) {
				err = context.Cause(waiting)
			}
			return notStarted(err)
		}
		exit, lost, err := st.act(ctx, hold, "ROOST_TOKEN="+string(hold.Token()))
		if err == nil && lost != nil {
			return &codedError{code: exitUnavailable, err: fmt.Errorf("%s is not certainly held any more: %w; the command was stopped (%v)", name, lost, exit)}
		}
		return finished(exit, err)
	})
}
