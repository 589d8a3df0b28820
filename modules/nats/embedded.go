package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// EmbeddedConfig says how to run a NATS server inside this process.
type EmbeddedConfig struct {
	Name      string       // of the server
	Listen    string       // HOST:PORT for clients; port 0 picks one
	Advertise string       // HOST:PORT that clients are told instead; "" for Listen
	Subjects  bus.Subjects // of the registry
	// StoreDir is where streams are kept; "" means no JetStream, and that the registry
	// publishes events itself. No other process may use the directory meanwhile.
	StoreDir string
	// SyncAlways syncs each write to disk before it is acknowledged.
	SyncAlways bool
	// TrustedClients lets every client do everything.
	TrustedClients bool
	// Cluster joins the server with others; nil if it is alone.
	Cluster *ClusterConfig
	// Leave bounds for how long clients are told to leave before the server stops; 0 stops
	// it at once.
	Leave time.Duration
}

// Embedded is a running NATS server inside this process.
type Embedded struct {
	server    *server.Server
	log       *logger
	clustered bool
	answering role
	writing   role
	system    role
}

// startTimeout bounds the start of the server, which replays what it has stored.
const startTimeout = time.Minute

// StartEmbedded starts a server and returns when it takes connections.
func StartEmbedded(c EmbeddedConfig, log *slog.Logger) (*Embedded, error) {
	host, port, err := splitListen(c.Listen)
	if err != nil {
		return nil, err
	}
	e := &Embedded{}
	permissions := PermissionsOf(c.Subjects)
	global := func() *server.Account { return e.server.GlobalAccount() }
	e.answering = newRole("answering", permissions.Answering, global)
	e.writing = newRole("writing", permissions.Writing, global)
	e.system = newRole("system", permissions.System, func() *server.Account { return e.server.SystemAccount() })
	g := &gate{roles: []role{e.answering, e.writing, e.system}, client: permissions.Client, account: global}
	if c.TrustedClients {
		g.client = nil
	}
	// Everything is set before NewServer: later changes are ignored or half taken.
	o := &server.Options{
		ServerName:                 c.Name,
		Host:                       host,
		Port:                       port,
		ClientAdvertise:            c.Advertise,
		JetStream:                  c.StoreDir != "",
		StoreDir:                   c.StoreDir,
		SyncAlways:                 c.SyncAlways,
		DisableJetStreamBanner:     true,
		NoSigs:                     true,
		CustomClientAuthentication: g,
	}
	if c.Cluster != nil {
		if err := c.Cluster.apply(o, c.Leave); err != nil {
			return nil, err
		}
		e.clustered = true
	}
	if err := sameKind(c.StoreDir, e.clustered); err != nil {
		return nil, err
	}
	if e.server, err = server.NewServer(o); err != nil {
		return nil, fmt.Errorf("set up the embedded NATS: %w", err)
	}
	if err := e.start(c, log); err != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
		return nil, err
	}
	return e, nil
}

// start starts the server and waits for it, or for what keeps it from starting.
func (e *Embedded) start(c EmbeddedConfig, log *slog.Logger) error {
	if err := free(c.Listen, "--listen", "or use a NATS that runs there with --nats-url nats://"+c.Listen); err != nil {
		return err
	}
	if e.clustered {
		if err := free(c.Cluster.Listen, "--cluster-listen", "and name it in the --cluster-routes of all nodes"); err != nil {
			return err
		}
	}
	l := newLogger(log)
	e.log = l
	e.server.SetLoggerV2(l, false, false, false)
	started := make(chan bool, 1)
	go func() {
		e.server.Start()
		started <- e.server.ReadyForConnections(startTimeout)
	}()
	select {
	case text := <-l.fatal:
		return fmt.Errorf("start the embedded NATS: %s", text)
	case ready := <-started:
		if !ready {
			return fmt.Errorf("start the embedded NATS: it is not ready after %v; see the log", startTimeout)
		}
		return nil
	}
}

// ClientURL returns where clients connect.
func (e *Embedded) ClientURL() string { return e.server.ClientURL() }

// Connect returns the registry's own connections.
func (e *Embedded) Connect(opts ...natsgo.Option) (answering, writing *natsgo.Conn, err error) {
	return connectBoth(e.server.ClientURL(),
		append(e.answering.options(), natsgo.InProcessServer(e.server)),
		append(e.writing.options(), natsgo.InProcessServer(e.server)), opts)
}

// ConnectSystem returns the registry's connection in the system account.
func (e *Embedded) ConnectSystem(opts ...natsgo.Option) (*natsgo.Conn, error) {
	own := append(e.system.options(), natsgo.InProcessServer(e.server))
	return natsgo.Connect(e.server.ClientURL(), append(own, opts...)...)
}

// Leave hands what the server leads in a cluster to others, tells its clients to go to
// them, closes their connections one after another, and shuts the server down. It returns
// when that is done, or ctx is; call Stop in any case.
func (e *Embedded) Leave(ctx context.Context) {
	if !e.clustered {
		return
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		e.server.LameDuckShutdown()
	}()
	select {
	case <-left:
	case <-ctx.Done():
	}
}

// Stop shuts the server down and waits until it has.
func (e *Embedded) Stop() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen on %q: want HOST:PORT", listen)
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, fmt.Errorf("listen on %q: want a number as port", listen)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// free reports why nobody can listen on address, which flag sets. The server itself says so
// too, but only after it has started JetStream, and in its own words.
func free(address, flag, advice string) error {
	l, err := net.Listen("tcp", address) //nolint:noctx // it does not block
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("listen on %s: %w; stop what listens there, choose another address with %s, %s", address, err, flag, advice)
	}
	return l.Close()
}
