package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/bus"
)

// fleet is three `roost serve` that form a cluster.
type fleet struct {
	secret string // the file
	routes []string
	nodes  []*member
}

// member is a node of a fleet, which may be stopped and started again.
type member struct {
	*process

	fleet  *fleet
	name   string
	dir    string
	listen string
	route  string
	args   []string
	env    []string
	alone  bool   // it is no node of a cluster
	exe    string // the program; "" for this one
}

// freeAddresses returns addresses that nobody listened on a moment ago: nodes of a cluster
// must know each other's before they start, and clients those of a node that comes back.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// newFleet returns a fleet none of whose n nodes runs yet. args are added to each.
func newFleet(t *testing.T, n int, args ...string) *fleet {
	t.Helper()
	f := &fleet{secret: filepath.Join(t.TempDir(), "secret")}
	writeSecret(t, f.secret, "correct horse battery staple")
	addresses := freeAddresses(t, 2*n)
	f.routes = addresses[n:]
	for i := range n {
		f.add(t, fmt.Sprintf("n%d", i+1), addresses[i], addresses[n+i], args...)
	}
	return f
}

func writeSecret(t *testing.T, file, secret string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) add(t *testing.T, name, listen, route string, args ...string) *member {
	t.Helper()
	m := &member{fleet: f, name: name, dir: t.TempDir(), listen: listen, route: route, args: args}
	f.nodes = append(f.nodes, m)
	return m
}

// start starts every node and waits until all are ready and the registry is on three.
func (f *fleet) start(t *testing.T) {
	t.Helper()
	f.begin(t)
	f.awaitWhole(t)
}

// begin starts every node and waits until all are ready.
func (f *fleet) begin(t *testing.T) {
	t.Helper()
	for _, m := range f.nodes {
		m.begin(t)
	}
	for _, m := range f.nodes {
		m.awaitReady(t)
	}
}

func (m *member) begin(t *testing.T) {
	t.Helper()
	args := []string{"serve", "--server-name", m.name, "--listen", m.listen, "--store-dir", m.dir}
	if !m.alone {
		args = append(args, "--cluster-listen", m.route, "--cluster-routes", strings.Join(m.fleet.routes, ","), "--cluster-secret-file", m.fleet.secret)
	}
	p, lines := beginAs(t, m.exe, m.env, append(args, m.args...)...)
	m.process = p
	ready := make(chan string, 1)
	p.ready = ready
	go func() {
		if lines.Scan() {
			ready <- lines.Text()
		}
		close(ready)
		p.reap()
	}()
}

// awaitReady waits until the node serves.
func (m *member) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case line := <-m.ready:
		url, ok := strings.CutPrefix(line, "ready ")
		if !ok {
			t.Fatalf("%s printed %q; want ready and a URL\n%s", m.name, line, m.stderr.String())
		}
		m.url = url
	case <-time.After(clusterPatience):
		t.Fatalf("%s is not ready\n%s", m.name, m.stderr.String())
	}
}

// clusterPatience is how long a cluster may take for anything, on a busy machine.
const clusterPatience = 90 * time.Second

// kill ends the node by SIGKILL.
func (m *member) kill(t *testing.T) {
	t.Helper()
	m.signal(t, syscall.SIGKILL)
	<-m.exited
}

// again starts the node again and waits until it serves.
func (m *member) again(t *testing.T) {
	t.Helper()
	m.begin(t)
	m.awaitReady(t)
}

// url is that of every node, as a client is given it.
func (f *fleet) url() string {
	var all []string
	for _, m := range f.nodes {
		all = append(all, "nats://"+m.listen)
	}
	return strings.Join(all, ",")
}

// report asks one node how it is; nil if it does not say. Requests are answered by any
// node of the registry, so the node's name is compared.
func (f *fleet) reports(t *testing.T, url string) map[string]*bus.HealthReply {
	t.Helper()
	_, out, _ := roost(t, url, "health", "--all", "--json")
	found := map[string]*bus.HealthReply{}
	for line := range strings.Lines(out) {
		var h bus.HealthReply
		if json.Unmarshal([]byte(line), &h) == nil && h.Node != "" {
			found[h.Node] = &h
		}
	}
	return found
}

// awaitWhole waits until every node that runs is healthy, as each says itself.
func (f *fleet) awaitWhole(t *testing.T) {
	t.Helper()
	await(t, "a whole cluster", func() (bool, string) {
		reports := f.reports(t, f.url())
		for _, m := range f.nodes {
			h := reports[m.name]
			if h == nil {
				return false, m.name + " says nothing"
			}
			if h.Status.String() != "healthy" || h.Cluster == nil || len(h.Cluster.Streams) != 3 {
				return false, fmt.Sprintf("%s is %v: %q", m.name, h.Status, h.Problems)
			}
			for _, s := range h.Cluster.Streams {
				if s.Replicas != 3 || len(s.Others) != 2 {
					return false, fmt.Sprintf("%s knows %s on %d servers", m.name, s.Name, s.Replicas)
				}
			}
		}
		return true, ""
	})
}

// await polls until is reports true.
func await(t *testing.T, what string, is func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(clusterPatience)
	for {
		ok, why := is()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s after %v: %s", what, clusterPatience, why)
		}
		time.Sleep(100 * time.Millisecond) // polls other processes
	}
}
