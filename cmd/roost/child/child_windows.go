package child

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/windows"
)

// terminate is the only way to end another process here.
var terminate = os.Kill

// Signals returns the signals that a process is asked to do something by, to be passed on,
// until stop is called.
func Signals() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 16)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}

// Ends reports whether s asks a process to end.
func Ends(os.Signal) bool { return true }

// fromTerminal reports whether s is one that a console sends to all that are attached to it.
func fromTerminal(s os.Signal) bool { return s == os.Interrupt }

func isTerminal(f *os.File) bool {
	var mode uint32
	return windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) == nil
}

func attributes(bool) *syscall.SysProcAttr { return nil }

func (p *Process) send(os.Signal) { _ = p.cmd.Process.Kill() } // fails only if it has ended

func kill(p *os.Process) error { return p.Kill() }

func killedBy(*os.ProcessState) (syscall.Signal, bool) { return 0, false }
