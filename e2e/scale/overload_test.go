//go:build scale

package scale

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

const (
	// overloadFor is how long each load lasts; OVERLOAD_TIME changes it.
	overloadFor = 5 * time.Second
	// modestEvery is how often each of those asks who ask little.
	modestEvery = 20 * time.Millisecond
)

// TestOverload draws the curve of an overloaded node: registers are offered at multiples of
// the rate that it sustains, whatever comes back, and beside them others ask a little, each
// for something else. The node has the first core to itself and the load comes from this
// process, where there are two: else what is offered would be taken from what is served.
func TestOverload(t *testing.T) {
	lasts := overloadFor
	if text := os.Getenv("OVERLOAD_TIME"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	var launcher []string
	if taskset, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > 1 {
		launcher = []string{taskset, "--cpu-list", "0"}
	}
	n := serve(t, t.TempDir(), launcher...)
	g := newGenerator(t, n, 8)
	others := newModest(t, n)
	g.sustain(t, 256, lasts) // a warm-up
	sustained := g.sustain(t, 256, lasts)
	fmt.Printf("sustained by %d connections with 256 requests under way: %.0f/s; load %s\n", len(g.connections), sustained, average())
	fmt.Println("| offered | offered/s | accepted/s | refused/s | neither | accepted: p50, p99 ms | server: cores, µs each | modest register p50, p99 | look-up p99 | keepalive p99 | revoke p99 | refused and unanswered of these | over after |")
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, times := range []float64{0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3} {
		others.prepare(t, int(lasts/modestEvery)+10)
		cpu := n.cpu(t)
		var o outcome
		during(t, others.all, modestEvery, func() { o = g.offer(t, times*sustained, lasts) })
		used := float64((n.cpu(t) - cpu).Microseconds())
		refused, unanswered := 0, 0
		for _, m := range others.all {
			refused += m.refused
			unanswered += m.unanswered
		}
		took := func(i int, q float64) string { return ms(p(q, others.all[i].sorted())) }
		fmt.Printf("| %g × | %.0f | %.0f | %.0f | %.0f | %s, %s | %.2f, %.0f | %s, %s | %s | %s | %s | %d, %d | %s |\n", times, o.offered, o.accepted, o.refused, o.other,
			ms(p(.5, o.took)), ms(p(.99, o.took)), used/float64((lasts+o.over).Microseconds()), used/float64(max(len(o.took), 1)), took(0, .5), took(0, .99), took(1, .99), took(2, .99), took(3, .99), refused, unanswered, ms(o.over))
		begun := time.Now()
		if err := others.register(-1); err != nil {
			t.Errorf("once the load is over: %v", err)
		} else if took := time.Since(begun); took > time.Second {
			t.Errorf("once the load is over a register takes %v", took)
		}
		wantAccepted(t, others.c, g)
	}
	fmt.Printf("load %s\n", average())
}

// wantAccepted fails unless what was accepted is there, and nothing that was refused.
func wantAccepted(t *testing.T, c *client.Client, g *generator) {
	t.Helper()
	there, _, err := c.Count(t.Context(), client.Query{Scope: client.Scope{Namespace: "load"}, Read: client.Read{Consistency: client.Linearizable}})
	accepted, doubtful := g.accepted.Load(), g.doubtful.Load()
	if err != nil || int64(there) < accepted || int64(there) > accepted+doubtful {
		t.Errorf("%d registers were accepted and of %d it is not known, and %d are there, %v", accepted, doubtful, there, err)
	}
}

// asking is those who ask little, over one connection.
type asking struct {
	nc     *nats.Conn
	c      *client.Client
	secret string   // of a lease that lives
	doomed []string // of leases that are to be revoked
	all    []*modest
}

func newModest(t *testing.T, n *node) *asking {
	t.Helper()
	nc, err := nats.Connect(n.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	a := &asking{nc: nc, c: n.connect(t)}
	a.secret = a.grant(t)
	a.all = []*modest{
		{what: "register", ask: a.register},
		{what: "look-up", ask: func(int) error { return a.request("registry.lookup.modest.s.there", struct{}{}) }},
		{what: "keepalive", ask: func(int) error { return a.request("lease.keepalive", map[string]string{"lease": a.secret}) }},
		{what: "revoke", ask: func(i int) error {
			if i >= len(a.doomed) {
				return nil
			}
			return a.request("lease.revoke", map[string]string{"lease": a.doomed[i]})
		}},
	}
	if err := a.request("registry.register.modest.s.there", struct{}{}); err != nil {
		t.Fatal(err)
	}
	return a
}

// prepare has n leases granted that will be revoked.
func (a *asking) prepare(t *testing.T, n int) {
	t.Helper()
	a.doomed = a.doomed[:0]
	for range n {
		a.doomed = append(a.doomed, a.grant(t))
	}
}

func (a *asking) grant(t *testing.T) string {
	t.Helper()
	granted, err := a.c.GrantLoose(t.Context(), client.LeaseOptions{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return granted.Secret
}

func (a *asking) register(i int) error {
	return a.request("registry.register.modest.s.i"+strconv.Itoa(i&7), map[string]any{"weight": time.Now().UnixNano() % 60_000})
}

// request asks once, and never again: a client would come back when it is refused.
func (a *asking) request(verb string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	reply, err := a.nc.Request(bus.DefaultPrefix+"."+verb, body, 5*time.Second)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if number := reply.Header.Get(bus.HeaderErrorCode); number != "" {
		return bus.ParseError(number, reply.Header.Get(bus.HeaderError), reply.Data)
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

// average is the load of the machine, as its kernel says it.
func average() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
