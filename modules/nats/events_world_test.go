package nats_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
)

// patience is how long anything may take.
const patience = 20 * time.Second

func open(t testing.TB, c config.Server, log slog.Handler) (*nats.Link, error) {
	t.Helper()
	subjects, err := bus.NewSubjects(c.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	link, err := nats.Open(c, subjects, slog.New(log))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := link.Close(ctx); err != nil {
			t.Errorf("close the link: %v", err)
		}
	})
	return link, nil
}

func mustOpen(t testing.TB, c config.Server) *nats.Link {
	t.Helper()
	link, err := open(t, c, slog.DiscardHandler)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// embedded are the settings of a node that keeps nothing.
func embedded() config.Server {
	c := config.DefaultServer()
	c.Node, c.Listen, c.Backend = "node", "127.0.0.1:0", config.BackendMemory
	return c
}

// elsewhere are the settings of a node on the server at url.
func elsewhere(url string) config.Server {
	c := embedded()
	c.URL = url
	return c
}

// listen runs link.Events until the test ends and returns what it calls with.
func listen(t testing.TB, link *nats.Link) <-chan nats.Closed {
	t.Helper()
	heard := make(chan nats.Closed, 1024)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := link.Events(ctx, func(c nats.Closed) { heard <- c }); err != nil {
			t.Errorf("Events() = %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return heard
}

func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing was heard")
		panic("unreachable")
	}
}

// client is a connection whose other end the test can misuse.
type client struct {
	*natsgo.Conn
	net *tap
}

// connect connects a client that does not come back.
func connect(t testing.TB, url string, opts ...natsgo.Option) *client {
	t.Helper()
	c := &client{net: &tap{}}
	var err error
	c.Conn, err = natsgo.Connect(url, append([]natsgo.Option{
		natsgo.SetCustomDialer(c.net), natsgo.NoReconnect(),
		natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// end is how the registry is told of c's end.
func (c *client) end(t testing.TB, reason string) nats.Closed {
	t.Helper()
	id, err := c.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	return nats.Closed{Server: c.ConnectedServerId(), Client: id, Reason: reason}
}

// closes closes c and fails unless that is the next that is heard.
func closes(t testing.TB, c *client, heard <-chan nats.Closed) {
	t.Helper()
	want := c.end(t, "Client Closed")
	c.Close()
	if diff := cmp.Diff(want, next(t, heard)); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

// tap dials one connection, whose reading can be held.
type tap struct {
	*net.TCPConn

	mu sync.Mutex // held: nothing is read
}

func (p *tap) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	p.TCPConn = c.(*net.TCPConn)
	return p, nil
}

func (p *tap) Read(b []byte) (int, error) {
	n, err := p.TCPConn.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	return n, err
}

// hold stops the client's reading until the test ends.
func (p *tap) hold(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	t.Cleanup(p.mu.Unlock)
}

// external is a server in operator mode, with a Link to it and somebody else who hears
// what it says of connections.
type external struct {
	operator *natstest.Operator
	server   *natstest.Server
	link     *nats.Link
	heard    <-chan nats.Closed
	observed chan observation
}

type observation struct {
	Client struct {
		ID uint64 `json:"id"`
	} `json:"client"`
	Reason string `json:"reason"`
}

func startExternal(t *testing.T, change ...func(*server.Options)) *external {
	t.Helper()
	x := &external{operator: natstest.NewOperator(t), observed: make(chan observation, 1024)}
	x.server = natstest.Start(t, append([]func(*server.Options){natstest.Listen, natstest.NoJetStream, x.operator.Configure}, change...)...)
	observer := x.server.Connect(t, natsgo.UserCredentials(x.operator.System.User(t)))
	_, err := observer.Subscribe("$SYS.ACCOUNT."+x.operator.Application.Name+".DISCONNECT", func(m *natsgo.Msg) {
		var o observation
		if json.Unmarshal(m.Data, &o) == nil {
			x.observed <- o
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := observer.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	c := elsewhere(x.server.URL())
	c.Creds, c.SystemCreds = x.operator.Application.User(t), x.operator.System.User(t)
	x.link = mustOpen(t, c)
	x.heard = listen(t, x.link)
	return x
}

func (x *external) connect(t *testing.T, opts ...natsgo.Option) *client {
	t.Helper()
	return connect(t, x.server.URL(), append([]natsgo.Option{natsgo.UserCredentials(x.operator.Application.User(t))}, opts...)...)
}

// awaitEnd waits until the server has said how a client ended.
func (x *external) awaitEnd(t *testing.T, id uint64) (reason string) {
	t.Helper()
	for {
		if o := next(t, x.observed); o.Client.ID == id {
			return o.Reason
		}
	}
}
