//go:build unix

package bench

import (
	"os"
	"syscall"
)

// interrupt asks a process to stop.
func interrupt(p *os.Process) {
	_ = p.Signal(syscall.SIGTERM) // fails only if it has stopped
}

// suspend stops a process without ending it.
func suspend(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
