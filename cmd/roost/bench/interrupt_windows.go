package bench

import (
	"errors"
	"os"
)

// interrupt stops a process: this system has no way to ask.
func interrupt(p *os.Process) {
	_ = p.Kill() // fails only if it has stopped
}

// suspend stops a process without ending it.
func suspend(*os.Process) error {
	return errors.New("this system cannot stop a process without ending it")
}
