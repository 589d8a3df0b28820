package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// The processes whose CPU time is told apart.
const (
	clientProcess = iota
	serverProcess
	responderProcess
	processes
)

var processNames = [processes]string{clientProcess: "client", serverProcess: "server", responderProcess: "responder"}

// tick is the unit of CPU times in /proc, the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpuTime returns how much CPU time a process has used since it began.
func cpuTime(pid int) (time.Duration, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	return parseStat(text)
}

// parseStat reads user and system time, the 14th and 15th field, of a stat file.
func parseStat(text []byte) (time.Duration, bool) {
	// The second field is the program's name in brackets, and may hold anything.
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, false
	}
	fields := bytes.Fields(text[end+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, false
	}
	var ticks uint64
	for _, f := range [][]byte{fields[user], fields[system]} {
		n, err := strconv.ParseUint(string(f), 10, 63)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, true //nolint:gosec // centuries
}

// cpu returns the CPU times of all processes, 0 for those that are not known.
func (w *World) cpu() (times [processes]time.Duration) {
	for p, pid := range w.pids {
		if pid != 0 {
			times[p], _ = cpuTime(pid)
		}
	}
	if w.fleet != nil {
		for _, m := range w.fleet.nodes[1:] {
			more, _ := cpuTime(m.cmd.Process.Pid)
			times[serverProcess] += more
		}
	}
	return times
}

// known reports whether the CPU time of a process can be told.
func (w *World) known(process int) bool {
	_, ok := cpuTime(w.pids[process])
	return w.pids[process] != 0 && ok
}
