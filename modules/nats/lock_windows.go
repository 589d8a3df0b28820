package nats

import (
	"os"

	"golang.org/x/sys/windows"
)

// flock locks f for this process until f is closed, or fails at once.
func flock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	// The byte that is locked lies far behind the text, which stays readable.
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
}
