package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// fleet is nodes that form a cluster, each a process with NATS inside.
type fleet struct {
	nodes []*fleetNode
}

// fleetNode is one of them.
type fleetNode struct {
	name string
	url  string
	args []string
	*process
}

var errNoLeader = errors.New("the stream has no leader")

// newFleet starts so many nodes with more arguments, and waits until all are ready.
func (w *World) newFleet(ctx context.Context, n int, more []string) (*fleet, error) {
	dir, err := os.MkdirTemp("", "roost-bench-")
	if err != nil {
		return nil, err
	}
	w.dir = dir
	addresses, err := freeAddresses(2 * n)
	if err != nil {
		return nil, err
	}
	f := &fleet{}
	for i := range n {
		m := &fleetNode{name: "bench-" + strconv.Itoa(i+1), url: "nats://" + addresses[i]}
		m.args = append([]string{
			"serve", "--listen", addresses[i], "--store-dir", filepath.Join(dir, m.name), "--server-name", m.name,
			"--cluster-listen", addresses[n+i], "--cluster-routes", strings.Join(addresses[n:], ","),
			"--prefix", w.c.Prefix, "--log-level", "error",
		}, more...)
		f.nodes = append(f.nodes, m)
	}
	return f, each(n, func(i int) error { return f.nodes[i].launch(ctx, w.c) })
}

// launch starts the node and returns when it is ready.
func (m *fleetNode) launch(ctx context.Context, c *Config) (err error) {
	m.process, _, err = c.Program.start(ctx, m.args...)
	return err
}

// freeAddresses returns addresses that nobody listened on a moment ago: nodes must know
// each other's before they start.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// urls returns where clients connect to the nodes, the one first.
func (f *fleet) urls(first int) string {
	urls := []string{f.nodes[first].url}
	for i, m := range f.nodes {
		if i != first {
			urls = append(urls, m.url)
		}
	}
	return strings.Join(urls, ",")
}

// stop stops every node that runs.
func (f *fleet) stop() error {
	problems := make([]error, len(f.nodes))
	_ = each(len(f.nodes), func(i int) error { // all at once: one alone waits for the others
		if p := f.nodes[i].process; p != nil {
			problems[i] = p.stop()
		}
		return nil
	})
	return errors.Join(problems...)
}

// leader returns which node leads a stream.
func (f *fleet) leader(ctx context.Context, nc *nats.Conn, stream string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	for {
		asked, done := context.WithTimeout(ctx, time.Second)
		s, err := js.Stream(asked, stream)
		done()
		if err == nil && s.CachedInfo().Cluster != nil {
			name := s.CachedInfo().Cluster.Leader
			if i := slices.IndexFunc(f.nodes, func(m *fleetNode) bool { return m.name == name }); i >= 0 {
				return i, nil
			}
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return 0, fmt.Errorf("%s: %w: %w", stream, errNoLeader, errors.Join(err, context.Cause(ctx)))
		}
	}
}

// healTime bounds how long a cluster may take to be whole again.
const healTime = time.Minute

// lead has a node lead a stream.
func (f *fleet) lead(ctx context.Context, nc *nats.Conn, stream string, node int) error {
	body, err := json.Marshal(map[string]any{"placement": map[string]any{"preferred": f.nodes[node].name}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	for {
		is, err := f.leader(ctx, nc, stream)
		if err != nil || is == node {
			return err
		}
		asked, done := context.WithTimeout(ctx, time.Second)
		_, err = nc.RequestWithContext(asked, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, body)
		done()
		if ctx.Err() != nil {
			return fmt.Errorf("have %s lead %s: %w", f.nodes[node].name, stream, errors.Join(err, context.Cause(ctx)))
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
}

// whole waits until every replica of a stream is there and has all of it.
func (f *fleet) whole(ctx context.Context, nc *nats.Conn, streams ...string) error {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for _, stream := range streams {
		for {
			asked, done := context.WithTimeout(ctx, time.Second)
			s, err := js.Stream(asked, stream)
			done()
			if err == nil && isWhole(s.CachedInfo().Cluster, len(f.nodes)) {
				break
			}
			select {
			case <-time.After(lookEvery):
			case <-ctx.Done():
				return fmt.Errorf("%s is not whole: %w", stream, errors.Join(err, context.Cause(ctx)))
			}
		}
	}
	return nil
}

func isWhole(c *jetstream.ClusterInfo, nodes int) bool {
	return c != nil && c.Leader != "" && len(c.Replicas) == nodes-1 &&
		!slices.ContainsFunc(c.Replicas, func(p *jetstream.PeerInfo) bool { return !p.Current || p.Offline || p.Lag > 0 })
}

// answers waits until each node says of itself that it is well and has n registrations.
func (w *World) answers(ctx context.Context, f *fleet, n int) error {
	return each(len(f.nodes), func(i int) error {
		nc, err := w.connectTo(f.nodes[i].url)
		if err != nil {
			return err
		}
		defer nc.Close()
		ctx, cancel := context.WithTimeout(ctx, healTime)
		defer cancel()
		for {
			m, err := nc.Request(w.subjects.Health(), nil, time.Second)
			var health bus.HealthReply
			if err == nil {
				err = json.Unmarshal(m.Data, &health)
			}
			if err == nil && health.Node == f.nodes[i].name && health.Status == backend.Healthy && health.Registrations >= n {
				return nil
			}
			select {
			case <-time.After(lookEvery):
			case <-ctx.Done():
				return fmt.Errorf("%s is not well but %+v: %w", f.nodes[i].name, health, errors.Join(err, context.Cause(ctx)))
			}
		}
	})
}
