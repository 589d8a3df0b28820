//go:build unix

package nats

import (
	"os"
	"syscall"
)

// flock locks f for this process until f is closed, or fails at once.
func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
