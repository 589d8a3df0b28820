package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// residentSize returns how many bytes of memory a process occupies.
func residentSize(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseResident(text)
}

var errNoResident = errors.New("the status of the process does not say how much memory it occupies")

// parseResident reads the line "VmRSS: 1234 kB" of a status file.
func parseResident(text []byte) (int64, error) {
	_, rest, ok := bytes.Cut(text, []byte("VmRSS:"))
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 2 || string(fields[1]) != "kB" {
		return 0, errNoResident
	}
	kilobytes, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0, errNoResident
	}
	return kilobytes << 10, nil
}

// processesAreSeen reports whether the system says what its processes use.
func processesAreSeen() bool {
	_, err := residentSize(os.Getpid())
	return err == nil
}

// lookEvery is the time between two looks at a process's memory.
const lookEvery = 50 * time.Millisecond

// settledSize returns the least that a process occupies, once so long has brought no less.
func settledSize(ctx context.Context, pid int, quiet time.Duration) (least int64, err error) {
	for since := time.Now(); time.Since(since) < quiet; {
		size, err := residentSize(pid)
		if err != nil {
			return 0, err
		}
		if least == 0 || size < least-least/100 {
			least, since = size, time.Now()
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return least, nil
}
