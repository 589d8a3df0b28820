package natstest

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// patience is how long a server may take for anything.
const patience = 30 * time.Second

// Server is one NATS server, which may be stopped and started again on the same store.
type Server struct {
	options server.Options

	mu      sync.Mutex
	current *server.Server // nil while stopped
}

// Start runs a server with JetStream on a directory of its own. change alters its options
// before it starts.
func Start(tb testing.TB, change ...func(*server.Options)) *Server {
	tb.Helper()
	s := newServer(tb, append([]func(*server.Options){func(o *server.Options) { o.DontListen = true }}, change...)...)
	s.Restart(tb)
	return s
}

// Listen has a server listen on a loopback port; see [Server.URL].
func Listen(o *server.Options) { o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT }

// NoJetStream runs a server without JetStream.
func NoJetStream(o *server.Options) { o.JetStream = false }

func newServer(tb testing.TB, change ...func(*server.Options)) *Server {
	tb.Helper()
	s := &Server{options: server.Options{
		ServerName: "natstest", JetStream: true, StoreDir: tb.TempDir(), NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 8 << 30,
	}}
	for _, c := range change {
		c(&s.options)
	}
	tb.Cleanup(s.Stop)
	return s
}

// Restart starts the server again after Stop.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.launch(tb)
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if !current.ReadyForConnections(patience) {
		tb.Fatalf("NATS server %s is not ready after %v", s.options.ServerName, patience)
	}
}

func (s *Server) launch(tb testing.TB) {
	tb.Helper()
	started, err := server.NewServer(s.options.Clone())
	if err != nil {
		tb.Fatalf("NATS server %s: %v", s.options.ServerName, err)
	}
	go started.Start()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		tb.Fatalf("NATS server %s runs already", s.options.ServerName)
	}
	s.current = started
}

// Stop shuts the server down and waits for it; what it stored stays. Stopping twice is
// fine.
func (s *Server) Stop() {
	s.mu.Lock()
	stopping := s.current
	s.current = nil
	s.mu.Unlock()
	if stopping != nil {
		stopping.Shutdown()
		stopping.WaitForShutdown()
	}
}

// Running returns the server itself, or nil while it is stopped.
func (s *Server) Running() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// URL returns where a listening server listens.
func (s *Server) URL() string { return s.Running().ClientURL() }

var errStopped = errors.New("the server is stopped")

// InProcessConn makes a Server a nats.InProcessConnProvider that finds its way to the
// server that runs now.
func (s *Server) InProcessConn() (net.Conn, error) {
	running := s.Running()
	if running == nil {
		return nil, errStopped
	}
	return running.InProcessConn()
}

// Connect returns a connection that comes back whenever the server does, and buffers
// nothing meanwhile. It is closed when the test ends.
func (s *Server) Connect(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	url := ""
	if s.options.DontListen {
		opts = append([]nats.Option{nats.InProcessServer(s)}, opts...)
	} else {
		url = s.URL()
	}
	return connect(tb, url, opts...)
}

func connect(tb testing.TB, url string, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1), nats.Timeout(patience),
	}, opts...)...)
	if err != nil {
		tb.Fatalf("connect to NATS: %v", err)
	}
	tb.Cleanup(nc.Close)
	return nc
}
