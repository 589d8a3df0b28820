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

// settledSizes returns the least that each of some processes occupies, once so long has
// brought none of them less.
func settledSizes(ctx context.Context, quiet time.Duration, pids ...int) ([]int64, error) {
	least := make([]int64, len(pids))
	for since := time.Now(); time.Since(since) < quiet; {
		for i, pid := range pids {
			size, err := residentSize(pid)
			if err != nil {
				return nil, err
			}
			if least[i] == 0 || size < least[i]-least[i]/100 {
				least[i], since = size, time.Now()
			}
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return least, nil
}
