package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// asWorker makes the test binary be one of a fleet of which one works; it holds where the
// registry is.
const asWorker = "ROOST_TEST_WORKER"

// workerMain is one of a fleet, until in ends.
func workerMain(url string, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	c, err := client.Connect(ctx, url, client.WithPrefix(keeperPrefix))
	if err != nil {
		return err
	}
	defer c.Close()
	told := json.NewEncoder(out)
	err = c.Singleton(ctx, "default", "work", func(ctx context.Context, s *client.Shift) error {
		works(ctx, s, func(w worked) { _ = told.Encode(w) }) // nobody reads it if that fails
		return errors.New("the shift is over")
	}, shiftOptions())
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// crew is a fleet of processes of which one works.
type crew struct {
	*rota

	now       worked // who works
	mu        sync.Mutex
	processes map[string]*os.Process // by the owners that they were
}

// crewAt starts a fleet, one for each of urls, and waits until one of it works.
func crewAt(t *testing.T, urls ...string) *crew {
	t.Helper()
	f := &crew{rota: &rota{}, processes: map[string]*os.Process{}}
	for _, url := range urls {
		f.join(t, url)
	}
	f.now = f.after(t, worked{})
	return f
}

// join starts one more of the fleet.
func (f *crew) join(t *testing.T, url string) {
	t.Helper()
	cmd, out := childAt(t, asWorker, url, os.Stderr)
	go func() {
		from := json.NewDecoder(out)
		for {
			var w worked
			if from.Decode(&w) != nil { // it has ended
				return
			}
			f.mu.Lock()
			f.processes[w.Owner] = cmd.Process
			f.mu.Unlock()
			f.note(w)
		}
	}()
}

// suffers sends whoever works a signal, and waits until another does. Of a process that was
// stopped it returns how to wake it.
func (f *crew) suffers(t *testing.T, s syscall.Signal) (wake func()) {
	t.Helper()
	f.mu.Lock()
	p := f.processes[f.now.Owner]
	f.mu.Unlock()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %v", f.now.Owner, s)
	f.now = f.after(t, f.now)
	return func() {
		if err := p.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
}

// Of a fleet of processes one works, and never do two with certainty, although those who
// work are killed, and stopped for longer than their leases live and go on.
func TestOneOfAFleetOfProcessesWorksAlthoughTheyAreKilledAndStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("short: processes are stopped for longer than their leases live")
	}
	t.Parallel()
	n := singleNode(t, 1)
	f := crewAt(t, slices.Repeat([]string{n.url}, 5)...)
	for range 3 {
		wake := f.suffers(t, syscall.SIGSTOP)
		noSooner(time.Second)
		wake()
		f.suffers(t, syscall.SIGKILL)
		f.join(t, n.url)
	}
	noSooner(shiftOptions().TTL) // who wakes would work now
	f.neverTwo(t, 7)
}

// The same on three nodes, which are killed, stopped and cut off themselves, so that the
// keeper changes, while the stream changes its leader.
func TestOneOfAFleetOfProcessesWorksOnThreeNodesWhateverFails(t *testing.T) {
	if testing.Short() {
		t.Skip("short: three servers elect leaders, and three nodes keepers, for a minute")
	}
	t.Parallel()
	subjects, err := bus.NewSubjects(keeperPrefix)
	if err != nil {
		t.Fatal(err)
	}
	cluster := natstest.StartCluster(t, 3)
	var urls []string
	for _, srv := range cluster.Nodes {
		urls = append(urls, srv.URL())
	}
	p := scenery(t, 3, urls)
	from := func(i int) string { // prefers one server, and knows the others
		i %= len(urls)
		return strings.Join(slices.Concat(urls[i:], urls[:i]), ",")
	}
	f := crewAt(t, from(0), from(1), from(2), from(3), from(4))
	for i := range 3 {
		// Who works is stopped while a node is away, and is killed while the stream elects.
		fault := keeperFaults()[i%2]
		fault.happen(t, p.nodes[i])
		wake := f.suffers(t, syscall.SIGSTOP)
		fault.mend(t, p.nodes[i])
		wake()
		leader := cluster.StreamLeader(t, "KV_"+subjects.Bucket())
		leader.Stop()
		f.suffers(t, syscall.SIGKILL)
		leader.Restart(t)
		cluster.AwaitHealthy(t)
		f.join(t, from(i))
		p.restartNode(t, i)
	}
	noSooner(shiftOptions().TTL) // who wakes would work now
	f.neverTwo(t, 7)
}
