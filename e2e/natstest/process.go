package natstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
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
	Port, ClusterPort int
	Routes            []int
}

func (s settings) options() server.Options {
	o := server.Options{
		ServerName: s.Name, JetStream: s.StoreDir != "", StoreDir: s.StoreDir, NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 8 << 30,
		Host: "127.0.0.1", Port: s.Port,
		Cluster: server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: s.ClusterPort, NoAdvertise: true},
	}
	for _, port := range s.Routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", port)})
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
	_, err = io.Copy(io.Discard, os.Stdin)
	running.Shutdown()
	return err
}

// Process is a NATS server in a process of its own.
type Process struct {
	Name string

	settings settings
	cmd      *exec.Cmd
	parent   io.Closer // the process ends with it
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

// Processes are servers in processes of their own that replicate, and one in this process
// that stores nothing, which nobody kills: whoever is connected to it stays connected.
type Processes struct {
	All    []*Process
	Steady *Server
}

// StartProcesses runs n servers in processes of their own and the steady one.
func StartProcesses(tb testing.TB, n int) *Processes {
	tb.Helper()
	ports := freePorts(tb, 2*n+2)
	routes := ports[:n+1]
	p := &Processes{}
	for i := range n {
		one := &Process{Name: clusterName(i), settings: settings{
			Name: clusterName(i), StoreDir: tb.TempDir(), Port: ports[n+1+i], ClusterPort: routes[i], Routes: routes,
		}}
		p.All = append(p.All, one)
		tb.Cleanup(one.Kill)
		one.Start(tb)
	}
	steady := settings{Name: "steady", Port: ports[2*n+1], ClusterPort: routes[n], Routes: routes}
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
