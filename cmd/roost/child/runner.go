package child

import (
	"os/exec"
	"runtime"
	"sync"
)

// Runner starts children, and tells them from processes that were inherited. Its zero value
// is ready for use.
type Runner struct {
	mu  sync.Mutex
	own map[int]struct{} // the ids of those that have not been waited for
}

// Start starts c: a *StartError.
func (r *Runner) Start(c Command) (*Process, error) { return start(r, c) }

// Run runs cmd, as its method of that name does, in a process group of its own. When its
// context is over it is killed with all that it has started.
func (r *Runner) Run(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes(true)
	cmd.Cancel = func() error { return kill(cmd.Process) }
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // as in start
		defer runtime.UnlockOSThread()
		err := r.begin(cmd)
		if err == nil {
			err = r.wait(cmd)
		}
		ended <- err
	}()
	return <-ended
}

// begin starts cmd. Nobody else waits for it, however soon it ends.
func (r *Runner) begin(cmd *exec.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if r.own == nil {
		r.own = map[int]struct{}{}
	}
	r.own[cmd.Process.Pid] = struct{}{}
	return nil
}

func (r *Runner) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	r.mu.Lock()
	delete(r.own, cmd.Process.Pid)
	r.mu.Unlock()
	return err
}
