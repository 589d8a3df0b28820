package natstest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// asServer makes a test binary be a NATS server with the settings that it holds.
const asServer = "ROOST_TEST_NATS_SERVER"

// ServerMain runs a NATS server if the process was started to be one, and reports whether
// it was. A package whose tests use [StartProcesses] calls it first thing in TestMain.
func ServerMain() bool {
	text := os.Getenv(asServer)
	if text == "" {
		return false
	}
	if err := serverMain(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// settings are those of a server in a process of its own.
type settings struct {
	Name, StoreDir    string
	Port, ClusterPort int      // 0 is no cluster
	Routes            []string // host and port
	Linked            bool     // no route but these is made, and one that is silent is found out
	SyncAlways        bool
}

func (s settings) options() server.Options {
	o := server.Options{
		ServerName: s.Name, JetStream: s.StoreDir != "", StoreDir: s.StoreDir, NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 8 << 30,
		Host: "127.0.0.1", Port: s.Port, SyncAlways: s.SyncAlways,
	}
	if s.ClusterPort != 0 {
		o.Cluster = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: s.ClusterPort, NoAdvertise: true}
	}
	for _, host := range s.Routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: host})
	}
	if s.Linked {
		o.Cluster.Advertise = Nowhere
		o.Cluster.PingInterval, o.Cluster.MaxPingsOut = linkPing, linkPings
	}
	return o
}

// serverMain serves until its parent has ended.
func serverMain(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	o := s.options()
	running, err := server.NewServer(&o)
	if err != nil {
		return err
	}
	go running.Start()
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		if err := Obey(orders.Text()); err != nil {
			return err
		}
	}
	running.Shutdown()
	return orders.Err()
}

// Orders to a process.
const (
	FillDisk = "fill disk"
	FreeDisk = "free disk"
	WallIs   = "wall is ahead by " // and by how much
)

// Obey does what an order says to this process.
func Obey(order string) error {
	if text, ok := strings.CutPrefix(order, WallIs); ok {
		ahead, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		return SetWall(ahead)
	}
	switch order {
	case FillDisk, FreeDisk:
		return limitFiles(order == FillDisk)
	}
	return fmt.Errorf("nobody understands the order %q", order)
}

// limitFiles has every write of this process into a file fail, as on a full disk, or not any
// more.
func limitFiles(full bool) error {
	signal.Ignore(syscall.SIGXFSZ) // the write fails instead
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if full {
		limit.Cur = 0
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// Process is a NATS server in a process of its own.
type Process struct {
	Name string

	settings settings
	cmd      *exec.Cmd
	parent   io.WriteCloser // gives orders; the process ends with it
	errs     bytes.Buffer
}

// Start starts the process, again after Kill.
func (p *Process) Start(tb testing.TB) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	text, err := json.Marshal(p.settings)
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(tb.Context()), exe) //nolint:gosec // the test binary itself
	p.cmd.Env = append(os.Environ(), asServer+"="+string(text))
	p.cmd.Stderr = &p.errs
	if p.parent, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", p.Name, err)
	}
}

// Kill ends the process by SIGKILL.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = p.parent.Close()
	p.cmd = nil
}

// Signal sends the process a signal.
func (p *Process) Signal(tb testing.TB, s os.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		tb.Fatalf("signal %v to %s: %v", s, p.Name, err)
	}
}

// FillDisk has every write of the process into a file fail until FreeDisk. It is a limit of
// the process: other files of the disk can be written.
func (p *Process) FillDisk(tb testing.TB) {
	tb.Helper()
	p.order(tb, FillDisk)
}

// FreeDisk ends FillDisk.
func (p *Process) FreeDisk(tb testing.TB) {
	tb.Helper()
	p.order(tb, FreeDisk)
}

// SetWall has the clock on the wall of the process be so far ahead; see [SetWall].
func (p *Process) SetWall(tb testing.TB, ahead time.Duration) {
	tb.Helper()
	p.order(tb, WallIs+ahead.String())
}

func (p *Process) order(tb testing.TB, what string) {
	tb.Helper()
	if _, err := fmt.Fprintln(p.parent, what); err != nil {
		tb.Fatalf("order %s to %s: %v", what, p.Name, err)
	}
}

// URL returns where clients connect.
func (p *Process) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", p.settings.Port) }

// StoreDir returns where the process keeps its streams.
func (p *Process) StoreDir() string { return p.settings.StoreDir }

// StartSynced runs a server of its own that syncs every write before it acknowledges it.
func StartSynced(tb testing.TB) *Process {
	tb.Helper()
	p := &Process{Name: "synced", settings: settings{
		Name: "synced", StoreDir: tb.TempDir(), Port: FreePorts(tb, 1)[0], SyncAlways: true,
	}}
	tb.Cleanup(p.Kill)
	p.Start(tb)
	return p
}

// Connect returns a connection to a server in a process of its own, which may be starting.
func (p *Process) Connect(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	return connect(tb, fmt.Sprintf("nats://127.0.0.1:%d", p.settings.Port), append([]nats.Option{nats.RetryOnFailedConnect(true)}, opts...)...)
}

// Processes are servers in processes of their own that replicate, and one in this process
// that stores nothing, which nobody kills: whoever is connected to it stays connected.
type Processes struct {
	All    []*Process
	Steady *Server
}

// StartProcesses runs n servers in processes of their own and the steady one.
func StartProcesses(tb testing.TB, n int) *Processes {
	tb.Helper()
	ports := FreePorts(tb, 2*n+2)
	var routes []string
	for _, port := range ports[:n+1] {
		routes = append(routes, loopback(port))
	}
	p := &Processes{}
	for i := range n {
		one := &Process{Name: clusterName(i), settings: settings{
			Name: clusterName(i), StoreDir: tb.TempDir(), Port: ports[n+1+i], ClusterPort: ports[i], Routes: routes,
		}}
		p.All = append(p.All, one)
		tb.Cleanup(one.Kill)
		one.Start(tb)
	}
	steady := settings{Name: "steady", Port: ports[2*n+1], ClusterPort: ports[n], Routes: routes}
	p.Steady = newServer(tb, func(o *server.Options) { *o = steady.options() })
	p.Steady.Restart(tb)
	return p
}

// Leader waits until a stream has a leader, in one of the processes, and every replica is
// current, and returns it.
func (p *Processes) Leader(tb testing.TB, js jetstream.JetStream, stream string) *Process {
	tb.Helper()
	var leader *Process
	Await(tb, "a leader and current replicas of "+stream, func() bool {
		ctx, cancel := context.WithTimeout(tb.Context(), time.Second)
		defer cancel()
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return false
		}
		c := s.CachedInfo().Cluster
		if c == nil || len(c.Replicas) != len(p.All)-1 {
			return false
		}
		for _, r := range c.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
		for _, one := range p.All {
			if one.Name == c.Leader {
				leader = one
			}
		}
		return leader != nil
	})
	return leader
}
