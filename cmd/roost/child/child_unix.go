//go:build unix

package child

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

const terminate = syscall.SIGTERM

// Signals returns the signals that a process is asked to do something by, to be passed on,
// until stop is called.
func Signals() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}

// Ends reports whether s asks a process to end. That a terminal hangs up does; to a process
// without one the same signal says that its settings have changed.
func Ends(s os.Signal) bool {
	return s == syscall.SIGINT || s == syscall.SIGTERM || s == syscall.SIGQUIT || s == syscall.SIGHUP && isTerminal(os.Stdin)
}

// fromTerminal reports whether s is one that a terminal sends to all in the foreground.
func fromTerminal(s os.Signal) bool {
	return s == syscall.SIGINT || s == syscall.SIGQUIT || s == syscall.SIGWINCH
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// send sends s to the group, which may outlive the child, or to the child.
func (p *Process) send(s os.Signal) {
	number, ok := s.(syscall.Signal)
	if p.group && ok {
		_ = syscall.Kill(-p.PID(), number) // fails only if nothing of it is left
		return
	}
	_ = p.cmd.Process.Signal(s) // fails only if it has ended
}

// kill kills a process that leads a group, and the group.
func kill(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

func killedBy(state *os.ProcessState) (syscall.Signal, bool) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0, false
	}
	return status.Signal(), true
}
