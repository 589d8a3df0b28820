package child

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reap takes in the processes that the children leave behind, and notes their ends, until
// ctx is done. Without it they would be nobody's, or, where this process is the first of a
// container, stay as zombies for ever. Children are to be started by r then.
func (r *Runner) Reap(ctx context.Context) {
	// Without it only the first process of a container inherits anything.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	defer signal.Stop(ends)
	for {
		r.reap()
		select {
		case <-ctx.Done():
			return
		case <-ends:
		}
	}
}

// reap notes the ends of inherited processes. Those of its own are waited for elsewhere.
func (r *Runner) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pid := range children() {
		if _, own := r.own[pid]; !own {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // fails only if it is gone
		}
	}
}

// children returns the ids of the processes whose parent this one is.
func children() (pids []int) {
	lists, _ := filepath.Glob("/proc/self/task/*/children") // fails only on a wrong pattern
	for _, list := range lists {
		text, err := os.ReadFile(list) //nolint:gosec // of this very process
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
