package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

// node is a registry node in a process of its own, and its links to others.
type node struct {
	natstest.Links

	name     string
	dir      string
	settings nodeSettings

	cmd    *exec.Cmd
	orders io.WriteCloser // the process ends with it
	ended  chan struct{}
	killed bool
	log    tail
}

// newNode returns a node that does not run yet.
func newNode(tb testing.TB, name string) *node { return &node{name: name, dir: tb.TempDir()} }

// run starts the node, until the test ends. change alters its settings.
func (n *node) run(tb testing.TB, change func(*config.Server)) {
	tb.Helper()
	n.settings.Server = config.DefaultServer()
	c := &n.settings.Server
	c.Node, c.Prefix, c.StoreDir = n.name, prefix, n.dir
	// No ending is held back but of a crowd that falls silent, so that nothing hides behind that.
	c.HoldShare = holdShare
	change(c)
	tb.Cleanup(func() {
		n.Kill(tb)
		if tb.Failed() {
			tb.Logf("%s said at last:\n%s", n.name, n.log.String())
		}
	})
	n.Start(tb)
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
	settings, err := json.Marshal(n.settings)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), exe) //nolint:gosec // the test binary itself
	cmd.Env = append(os.Environ(), AsNode+"="+string(settings))
	cmd.Stderr = &n.log
	orders, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", n.name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		_ = orders.Close()
		close(ended)
	}()
	n.cmd, n.orders, n.ended, n.killed = cmd, orders, ended, false
}

// Kill implements Member.
func (n *node) Kill(testing.TB) {
	n.killed = true
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// stoodStill is for how long lease clocks have stood still, as nodes said.
func stoodStill(nodes []Member) (sum time.Duration) {
	for _, n := range nodes {
		sum += n.(*node).log.stoodStill()
	}
	return sum
}

// revive starts nodes again that have ended by themselves.
func revive(tb testing.TB, nodes []Member) {
	tb.Helper()
	for _, n := range nodes {
		n.(*node).revive(tb)
	}
}

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

// SetWall implements Member.
func (n *node) SetWall(tb testing.TB, ahead time.Duration) {
	tb.Helper()
	n.order(tb, natstest.WallIs+ahead.String())
}

func (n *node) order(tb testing.TB, what string) {
	tb.Helper()
	if _, err := fmt.Fprintln(n.orders, what); err != nil {
		tb.Fatalf("order %s to %s: %v", what, n.name, err)
	}
}
