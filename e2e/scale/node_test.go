//go:build scale

package scale

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "roost-scale-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "roost")
		if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, "../../cmd/roost").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// node is `roost serve` as a process.
type node struct {
	dir, url string
	cmd      *exec.Cmd
	said     *bytes.Buffer
	took     time.Duration // until it was ready
}

// serve starts a node on dir, with the command launcher, if there is one. It is killed when
// the test ends.
func serve(t *testing.T, dir string, launcher ...string) *node {
	t.Helper()
	n := &node{dir: dir, said: &bytes.Buffer{}}
	command := append(slices.Clone(launcher), binary, "serve", "--listen", "127.0.0.1:0", "--store-dir", dir, "--max-leases", "200000")
	n.cmd = exec.Command(command[0], command[1:]...)
	n.cmd.Stderr = n.said
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.stop(t, syscall.SIGKILL) })
	lines := bufio.NewScanner(stdout)
	lines.Scan()
	n.took = time.Since(begun)
	url, ready := strings.CutPrefix(lines.Text(), "ready ")
	if !ready {
		t.Fatalf("roost serve said %q\n%s", lines.Text(), n.said)
	}
	n.url = url
	return n
}

// stop ends the node and waits until it has ended.
func (n *node) stop(t *testing.T, s syscall.Signal) {
	t.Helper()
	if n.cmd.ProcessState != nil {
		return
	}
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Error(err)
	}
	err := n.cmd.Wait()
	if s == syscall.SIGTERM && err != nil {
		t.Errorf("roost serve: %v\n%s", err, n.said)
	}
}

// connect returns a client of a connection of its own.
func (n *node) connect(t *testing.T) *client.Client {
	t.Helper()
	nc, err := nats.Connect(n.url, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c, err := client.New(nc, client.WithReadTimeout(time.Minute), client.WithWriteTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// resident is the node's memory, in bytes.
func (n *node) resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// cpu is the CPU time that the node has used.
func (n *node) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // user and system, in hundredths of a second
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += v
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// disk is how much the node's store directory holds, in bytes.
func (n *node) disk(t *testing.T) (size int64) {
	t.Helper()
	err := filepath.Walk(n.dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}
