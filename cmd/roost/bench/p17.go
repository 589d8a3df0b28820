package bench

import (
	"context"
	"fmt"
	"os"
	"time"
)

// wholeCell is P17.
func wholeCell() Cell {
	return Cell{
		ID: "P17", Own: true, Proc: true,
		About: "CPU time of a node that nobody asks anything and that watches over leases, none of which is kept alive meanwhile; " +
			"size of this program; from the start of a node's process on an empty store until it is ready",
		Baseline: "a bare NATS server with a store, idle; from its start on an empty store until a client is connected",
		Measure:  measureWhole,
	}
}

const (
	idleLeases = 10_000
	// idleRounds is for how many durations of a side an idle node is watched.
	idleRounds = 10
	// mostIdle is what it may use, in percent of a core.
	mostIdle = 2
	// mostSize is what the program may weigh, in MB.
	mostSize = 40
	// mostStart is how long an empty start may take, in milliseconds.
	mostStart = 150
	megabyte  = 1e6
)

func measureWhole(ctx context.Context, w *World) ([]Figure, error) {
	leases := min(idleLeases, w.c.Leases)
	if _, err := w.grant(ctx, leases, longLived); err != nil {
		return nil, err
	}
	dir, err := w.emptyDir()
	if err != nil {
		return nil, err
	}
	bare, err := w.store(ctx, dir)
	if err != nil {
		return nil, err
	}
	w.c.Progress("P17: watching an idle node")
	ours, theirs, err := idle(ctx, idleRounds*w.c.Duration, w.pids[serverProcess], bare.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	program, err := os.Stat(w.c.Program.Path)
	if err != nil {
		return nil, err
	}
	figures := []Figure{
		{What: fmt.Sprintf("idle with %d leases", leases), Unit: "% of a core", Roost: ours, Bare: theirs, Limit: Limit{Most: mostIdle}},
		{What: "this program", Unit: "MB", Roost: float64(program.Size()) / megabyte, Limit: Limit{Most: mostSize}},
	}
	start, err := w.emptyStarts(ctx)
	return append(figures, start), err
}

// idle returns how much of a core two processes use over d, in percent.
func idle(ctx context.Context, d time.Duration, pids ...int) (first, second float64, err error) {
	var before, used [2]time.Duration
	begun := time.Now()
	for i, pid := range pids {
		before[i], _ = cpuTime(pid)
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return 0, 0, context.Cause(ctx)
	}
	for i, pid := range pids {
		after, _ := cpuTime(pid)
		used[i] = after - before[i]
	}
	percent := func(i int) float64 { return 100 * ratio(float64(used[i]), float64(time.Since(begun))) }
	return percent(0), percent(1), nil
}

// emptyStarts starts nodes and bare servers on empty stores in turn.
func (w *World) emptyStarts(ctx context.Context) (f Figure, err error) {
	var ours, theirs []float64
	for r := range w.c.Rounds {
		w.c.Progress(fmt.Sprintf("P17: start %d of %d", r+1, w.c.Rounds))
		dir, err := w.emptyDir()
		if err != nil {
			return f, err
		}
		begun := time.Now()
		node, _, err := w.launch(ctx, dir+"/node")
		if err != nil {
			return f, err
		}
		ours = append(ours, milliseconds(time.Since(begun)))
		if err := node.stop(); err != nil {
			return f, err
		}
		begun = time.Now()
		bare, err := w.store(ctx, dir+"/bare")
		if err != nil {
			return f, err
		}
		theirs = append(theirs, milliseconds(time.Since(begun)))
		if err := bare.close(); err != nil {
			return f, err
		}
	}
	return Figure{
		What: "start with an empty store until ready", Unit: "ms",
		Roost: medianFloat(ours), Bare: medianFloat(theirs), Limit: Limit{Most: mostStart},
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
