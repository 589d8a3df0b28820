package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/faults"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

// serverProcess is a node in a process of its own.
type serverProcess struct {
	name  string
	url   string // where clients connect
	links []*natstest.Proxy

	cmd  *exec.Cmd
	errs errorsBuffer
}

// errorsBuffer is written by a process and read by a test.
type errorsBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *errorsBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *errorsBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// nodeAt starts a node and waits until it serves. change alters its settings.
func nodeAt(t *testing.T, name string, change func(*config.Server)) *serverProcess {
	t.Helper()
	c := config.DefaultServer()
	c.Node, c.Prefix, c.Listen, c.StoreDir = name, keeperPrefix, "127.0.0.1:0", t.TempDir()
	change(&c)
	settings, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	n := &serverProcess{name: name}
	var out io.Reader
	n.cmd, out = childAt(t, faults.AsNode, string(settings), &n.errs)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", name, n.errs.String())
		}
	})
	if _, err := fmt.Fscanln(out, &n.url); err != nil {
		t.Fatalf("%s does not serve: %v\n%s", name, err, n.errs.String())
	}
	return n
}

// childAt starts this binary as what of names, with value, until the test ends.
func childAt(t *testing.T, of, value string, errs io.Writer) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), of+"="+value), errs
	if _, err := cmd.StdinPipe(); err != nil { // open until this process ends
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, out
}

func (n *serverProcess) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v to %s: %v", s, n.name, err)
	}
}

// nodesOn starts so many nodes, each with links of its own to every NATS server of urls.
// None of them holds an ending back, so that nothing hides behind that.
func nodesOn(t *testing.T, count int, urls []string) []*serverProcess {
	t.Helper()
	nodes := make([]*serverProcess, count)
	for i := range nodes {
		var links []*natstest.Proxy
		var through []string
		for _, url := range urls {
			link := natstest.Through(t, url)
			links, through = append(links, link), append(through, link.URL())
		}
		nodes[i] = nodeAt(t, fmt.Sprint("n", i), func(c *config.Server) {
			c.URL, c.Replicas, c.HoldShare = strings.Join(through, ","), min(len(urls), 3), 1
		})
		nodes[i].links = links
	}
	return nodes
}

// noSooner is a wait for what must not happen.
func noSooner(d time.Duration) { <-time.After(d) }
