package bustest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsServer is a NATS server that can be started again, on its directory and its port.
type natsServer struct {
	options server.Options
	token   string // lets a connection into the system account
	url     string
	running *server.Server
}

func newNATS(dir string) *natsServer {
	return &natsServer{token: rand.Text(), options: server.Options{
		ServerName: nodeName, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30,
	}}
}

// gate lets everybody in, to do everything in the one account that there is beside the
// system's.
type gate struct {
	server *server.Server
	token  string // of who is let into the system's
}

var _ server.Authentication = (*gate)(nil)

// Check implements server.Authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	user := &server.User{Account: g.server.GlobalAccount()}
	if c.GetOpts().Token == g.token {
		user.Account = g.server.SystemAccount()
	}
	c.RegisterUser(user)
	return true
}

// start returns when the server takes connections.
func (s *natsServer) start(ctx context.Context) error {
	if err := s.awaitPort(ctx); err != nil {
		return err
	}
	g := &gate{token: s.token}
	options := s.options.Clone()
	options.CustomClientAuthentication = g
	var err error
	if s.running, err = server.NewServer(options); err != nil {
		return err
	}
	g.server = s.running
	go s.running.Start()
	if !s.running.ReadyForConnections(patience) {
		s.stop()
		return fmt.Errorf("it is not ready after %v", patience)
	}
	if s.url != "" {
		return nil
	}
	address, ok := s.running.Addr().(*net.TCPAddr)
	if !ok {
		s.stop()
		return errors.New("it does not say where it listens")
	}
	s.options.Port, s.url = address.Port, s.running.ClientURL()
	return nil
}

// awaitPort returns when nobody listens on the port that the server has had: between a stop
// and a start another process may have been given it.
func (s *natsServer) awaitPort(ctx context.Context) error {
	if s.options.Port == server.RANDOM_PORT {
		return nil
	}
	for {
		var try net.ListenConfig
		l, err := try.Listen(ctx, "tcp", net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port)))
		if err == nil {
			return l.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func (s *natsServer) stop() {
	s.running.Shutdown()
	s.running.WaitForShutdown()
}

// connect returns one of the registry's own connections.
func (s *natsServer) connect(name string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append([]nats.Option{
		nats.Name(name), nats.InProcessServer(s.running), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ReconnectBufSize(-1),
	}, opts...)...)
}
