package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules"
	"github.com/roostbus/roost/modules/config"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// AsNode makes a test binary be a node, as `roost serve` runs it, with the settings that it
// holds.
const AsNode = "ROOST_TEST_NODE"

// startPatience is how long a node may take to serve.
const startPatience = time.Minute

// NodeMain is a node until in ends. It tells when it serves, and where.
func NodeMain(settings string, in io.Reader, out, log io.Writer) error {
	var c config.Server
	if err := json.Unmarshal([]byte(settings), &c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	var link *natsmodule.Link
	app := fx.New(fx.Supply(c, config.Version("0.0.0"), slog.New(slog.NewTextHandler(log, nil))),
		fx.Provide(func() context.Context { return ctx }), fx.NopLogger, modules.Server, fx.Populate(&link))
	if err := app.Start(ctx); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, link.ClientURL); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(context.Background(), c.StopTimeout)
	defer cancel()
	return app.Stop(ctx)
}

// external is NATS servers, and nodes that use them, in processes of their own.
type external struct {
	nodes   []Member
	servers []Server
	urls    []string
}

// prefix is that of registries under test.
const prefix = "faults.v1"

// External starts so many NATS servers and so many nodes that use them, in processes of
// their own, and does not wait for them. The test binary calls natstest.ServerMain and,
// where AsNode is set, NodeMain.
func External(tb testing.TB, servers, nodes int) Deployment {
	tb.Helper()
	d := &external{}
	for _, p := range natstest.StartLinkedProcesses(tb, servers) {
		d.servers, d.urls = append(d.servers, natsServer{p}), append(d.urls, p.URL())
	}
	for i := range nodes {
		d.nodes = append(d.nodes, startNode(tb, fmt.Sprint("n", i), d.urls))
	}
	return d
}

func (d *external) Prefix() string    { return prefix }
func (d *external) URLs() []string    { return d.urls }
func (d *external) Nodes() []Member   { return d.nodes }
func (d *external) Servers() []Server { return d.servers }

func (d *external) Revive(tb testing.TB) {
	tb.Helper()
	for _, n := range d.nodes {
		n.(*node).revive(tb)
	}
}

// natsServer is a Server.
type natsServer struct{ *natstest.LinkedProcess }

func (s natsServer) Name() string    { return s.Process.Name }
func (s natsServer) Kill(testing.TB) { s.Process.Kill() }

// node is a registry node in a process of its own, and its links to every NATS server.
type node struct {
	name     string
	settings []byte
	links    []*natstest.Proxy

	cmd    *exec.Cmd
	ended  chan struct{}
	killed bool
	log    tail
}

func startNode(tb testing.TB, name string, urls []string) *node {
	tb.Helper()
	n := &node{name: name}
	var through []string
	for _, url := range urls {
		link := natstest.Through(tb, url)
		n.links, through = append(n.links, link), append(through, link.URL())
	}
	c := config.DefaultServer()
	c.Node, c.Prefix, c.StoreDir = name, prefix, tb.TempDir()
	// No ending is held back, so that nothing hides behind that.
	c.URL, c.Replicas, c.HoldShare = strings.Join(through, ","), min(len(urls), 3), 1
	var err error
	if n.settings, err = json.Marshal(c); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		n.Kill(tb)
		if tb.Failed() {
			tb.Logf("%s said at last:\n%s", name, n.log.String())
		}
	})
	n.Start(tb)
	return n
}

func (n *node) Name() string { return n.name }

// Start implements Member. A node that cannot start, for want of NATS, is started again as
// an operator's supervisor would.
func (n *node) Start(tb testing.TB) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), exe) //nolint:gosec // the test binary itself
	cmd.Env = append(os.Environ(), AsNode+"="+string(n.settings))
	cmd.Stderr = &n.log
	in, err := cmd.StdinPipe() // open until it ends
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", n.name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		_ = in.Close()
		close(ended)
	}()
	n.cmd, n.ended, n.killed = cmd, ended, false
}

// Kill implements Member.
func (n *node) Kill(testing.TB) {
	n.killed = true
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// revive starts the node again if it has ended by itself.
func (n *node) revive(tb testing.TB) {
	tb.Helper()
	select {
	case <-n.ended:
		if !n.killed {
			tb.Logf("%s has ended, and is started again", n.name)
			if said := n.log.String(); strings.Contains(said, "panic:") || strings.Contains(said, "fatal error:") {
				tb.Errorf("%s has crashed:\n%s", n.name, said)
			}
			n.Start(tb)
		}
	default:
	}
}

// Signal implements Member.
func (n *node) Signal(tb testing.TB, s os.Signal) {
	tb.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		tb.Fatalf("signal %v to %s: %v", s, n.name, err)
	}
}

func (n *node) CutOff(tb testing.TB) { n.each(func(l *natstest.Proxy) { l.Cut(tb) }) }
func (n *node) Deafen(tb testing.TB) { n.each(func(l *natstest.Proxy) { l.Deafen(tb) }) }
func (n *node) Mute(tb testing.TB)   { n.each(func(l *natstest.Proxy) { l.Mute(tb) }) }
func (n *node) Rejoin(tb testing.TB) { n.each(func(l *natstest.Proxy) { l.Heal(tb) }) }

func (n *node) each(do func(*natstest.Proxy)) {
	for _, link := range n.links {
		do(link)
	}
}

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len() > 2*tailBytes {
		t.b.Next(t.b.Len() - tailBytes)
	}
	return t.b.Write(p)
}

// String returns the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(t.b.Bytes())); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
