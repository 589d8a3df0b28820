package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// The marks between which [Report.InsertScaling] puts its arithmetic.
const (
	scalingBegin = "<!-- arithmetic: written by roost bench report -->\n"
	scalingEnd   = "<!-- end of arithmetic -->\n"
)

// costs are what things cost a node: CPU in µs, NATS in it included.
type costs struct {
	beat, beatOfMany        float64 // a keepalive; in a message of a hundred
	write, written          float64 // on one node; on one of three
	lookup, event           float64
	memory                  float64 // bytes of a registration
	start                   float64 // for each registration there is
	memoryWith, startedWith float64 // so many registrations
}

// costs finds them among what was measured.
func (r *Report) costs() (c costs, err error) {
	var missing []string
	const busy = 64 // in flight
	server := func(id, what string) float64 {
		k := r.find(id, func(k *CaseReport) bool { return k.What == what && k.InFlight == busy })
		if k == nil || k.Roost.CPUUs[processNames[serverProcess]] == 0 {
			missing = append(missing, fmt.Sprintf("%s at %s", id, caseName(what, busy)))
			return 0
		}
		return k.Roost.CPUUs[processNames[serverProcess]]
	}
	c.beat = server("P7", "echo elsewhere")
	c.write, c.written, c.lookup = server("P3", ""), server("P16", ""), server("P1", "")
	if k := r.find("P8", func(k *CaseReport) bool { return strings.HasSuffix(k.What, fmt.Sprintf("%d to a message", manyBeats)) }); k != nil {
		c.beatOfMany = k.Roost.CPUUs[processNames[serverProcess]]
	} else {
		missing = append(missing, "P8 with many to a message")
	}
	if k := r.find("P6", func(k *CaseReport) bool { return k.X > 1 }); k != nil {
		c.event = k.Roost.CPUUs[processNames[serverProcess]] / k.X
	} else {
		missing = append(missing, "P6 with more than one subscriber")
	}
	if k := r.find("P10", func(k *CaseReport) bool { return k.X > 0 }); k != nil {
		c.start, c.startedWith = k.Roost.P50Us/k.X, k.X
	} else {
		missing = append(missing, "P10")
	}
	if c.memory, c.memoryWith = r.memoryOfOne(); c.memory == 0 {
		missing = append(missing, "P9")
	}
	if len(missing) > 0 {
		err = errors.New("what is needed was not measured: " + strings.Join(missing, ", "))
	}
	return c, err
}

// find returns the case of a cell that is wanted, the one with the greatest X; nil: none is.
func (r *Report) find(id string, wanted func(*CaseReport) bool) (found *CaseReport) {
	for i := range r.Cells {
		for j := range r.Cells[i].Cases {
			if k := &r.Cells[i].Cases[j]; r.Cells[i].ID == id && wanted(k) && (found == nil || k.X > found.X) {
				found = k
			}
		}
	}
	return found
}

// memoryOfOne is what a registration takes of a node where there are most, and how many
// these are.
func (r *Report) memoryOfOne() (bytes, with float64) {
	for _, c := range r.Cells {
		var empty float64
		for _, f := range c.Figures {
			switch {
			case c.ID != "P9" || f.Unit != "MiB" || f.Again:
			case f.X == 0:
				empty = f.Roost
			case f.X > with:
				bytes, with = (f.Roost-empty)*mebibyte/f.X, f.X
			}
		}
	}
	return bytes, with
}

// InsertScaling returns text with what the measured costs come to for many instances
// between its marks.
func (r *Report) InsertScaling(text string) (string, error) {
	c, err := r.costs()
	if err != nil {
		return "", err
	}
	return between(text, scalingBegin, scalingEnd, func(w io.Writer) { c.tables(w, r) })
}

// What an instance does.
const (
	usualTTL    = 15.0 // seconds
	longTTL     = 60.0
	beatsInTTL  = 3.0
	ownWrites   = 4.0  // a lease and a registration begin, and both end
	lifetime    = 3600 // seconds
	followers   = 300.0
	memoryThere = 8e9  // bytes that a node may take
	startThere  = 30.0 // seconds that a start may take
)

// tables writes three tables: the costs, what they come to, and how far they go.
func (c *costs) tables(w io.Writer, r *Report) {
	say := func(format string, args ...any) { fmt.Fprintf(w, format, args...) } //nolint:errcheck // it goes into memory
	say("\nFrom the figures of roost %s on %d cores (%s):\n\n", r.Version, r.Machine.Cores, r.Machine.CPU)
	say("| what | costs a node, NATS in it included | measured by |\n|---|---|---|\n")
	say("| a keepalive, one lease a message | %.1f µs, on the keeper's node only | P7 at 64 in flight |\n", c.beat)
	say("| a keepalive, %d leases a message | %.1f µs, likewise | P8 with %d to a message |\n", manyBeats, c.beatOfMany, manyBeats)
	say("| a write (register, grant, an end) on a single node | %.0f µs | P3 at 64 in flight |\n", c.write)
	say("| a write on each of three nodes, at most | %.0f µs, of the node that is asked | P16 at 64 in flight |\n", c.written)
	say("| a look-up | %.1f µs | P1 at 64 in flight |\n", c.lookup)
	say("| an event to one subscriber | %.1f µs | P6 with the most subscribers |\n", c.event)
	say("| memory of a registration of about 300 bytes | %.0f B | P9 with %.0f |\n", c.memory, c.memoryWith)
	say("| a start, for each registration there is | %.1f µs until `ready` | P10 with %.0f |\n", c.start, c.startedWith)
	say("\n| instances | nodes | beats: rate, cores of the keeper's node | the same, %d to a message | writes: rate, cores of each node | "+
		"deliveries: rate, cores of each node | memory of each node | start |\n|---:|---:|---|---|---|---|---:|---:|\n", manyBeats)
	for _, n := range []float64{10_000, 100_000, million} {
		for _, nodes := range []float64{3, 5} {
			beats, writes := n*beatsInTTL/usualTTL, n*ownWrites/lifetime
			deliveries := writes * followers
			say("| %s | %.0f | %s/s, %.2f | %.2f | %s/s, %.2f | %s/s, %.2f | %.2f GB | %.1f s |\n", grouped(n), nodes,
				grouped(beats), cores(beats, c.beat), cores(beats, c.beatOfMany), grouped(writes), cores(writes, c.written),
				grouped(deliveries), cores(deliveries, c.event)/nodes, n*c.memory/1e9, n*c.start/1e6)
		}
	}
	say("\n| what comes to its end | where | instances of one registry |\n|---|---|---:|\n")
	for _, end := range []struct {
		what, where string
		instances   float64
	}{
		{"beats, a TTL of 15 s, one lease a message", "one core of the keeper's node", 1e6 / c.beat * usualTTL / beatsInTTL},
		{"beats, a TTL of 60 s, one lease a message", "one core of the keeper's node", 1e6 / c.beat * longTTL / beatsInTTL},
		{fmt.Sprintf("beats, a TTL of 60 s, %d leases a message", manyBeats), "one core of the keeper's node", 1e6 / c.beatOfMany * longTTL / beatsInTTL},
		{"writes, each instance replaced once an hour", "one core of each node", 1e6 / c.written * lifetime / ownWrites},
		{"writes, each instance replaced every five minutes", "one core of each node", 1e6 / c.written * lifetime / 12 / ownWrites},
		{"deliveries by three nodes, replaced once an hour", "one core of each node", 3 * 1e6 / c.event * lifetime / ownWrites / followers},
		{"memory", "8 GB of each node", memoryThere / c.memory},
		{"the start of a node", "30 s", startThere * 1e6 / c.start},
	} {
		instances := "?" // where a run was too short to see what it costs
		if !math.IsInf(end.instances, 0) {
			instances = grouped(twoDigits(end.instances))
		}
		say("| %s | %s | %s |\n", end.what, end.where, instances)
	}
	say("\n")
}

// cores is how much of a core a rate takes of what costs so many µs each.
func cores(rate, each float64) float64 { return rate * each / 1e6 }

// twoDigits leaves two digits of v.
func twoDigits(v float64) float64 {
	if v <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(v/unit) * unit
}

// grouped shows v with its digits in threes.
func grouped(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
