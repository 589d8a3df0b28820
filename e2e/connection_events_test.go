package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// A stopped process is silent, which is not told; a killed one is told at once.
func TestAKilledProcessIsToldAndAStoppedOneIsNot(t *testing.T) {
	t.Parallel()
	link, closed := linkedTo(t, asEmbedded)
	stopped, _ := startConnected(t, link.ClientURL)
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	killed, want := startConnected(t, link.ClientURL)
	if err := killed.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	got := arrives(t, "closed connection", closed)
	t.Logf("the server says %q", got.Reason)
	if got.Server != want.Server || got.Client != want.Client {
		t.Errorf("closed %v; want the connection of the killed process, %v", got, want)
	}
}

// A cut link is silent. When it is found to be broken both ends are told.
func TestACutLinkIsNotToldUntilItIsClosed(t *testing.T) {
	t.Parallel()
	link, closed := linkedTo(t, asEmbedded)
	wire := natstest.Through(t, link.ClientURL)
	c := connect(t, wire.URL(), nats.NoReconnect())
	want := closedOf(t, c)
	wire.Cut(t)
	if err := c.Publish("into.the.void", nil); err != nil {
		t.Fatal(err)
	}
	closesNext(t, connect(t, link.ClientURL), closed)
	wire.Heal(t)
	got := arrives(t, "closed connection", closed)
	if got.Server != want.Server || got.Client != want.Client {
		t.Errorf("closed %v; want the connection that was cut, %v", got, want)
	}
}

func TestAConnectionThatComesBackIsAnotherOne(t *testing.T) {
	t.Parallel()
	link, closed := linkedTo(t, asEmbedded)
	back := make(chan struct{}, 1)
	c := connect(t, link.ClientURL, nats.ReconnectWait(time.Millisecond), nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	first := closedOf(t, c)
	if err := c.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	arrives(t, "reconnect", back)
	if got := arrives(t, "closed connection", closed); got != first {
		t.Errorf("closed %v; want %v", got, first)
	}
	if second := closedOf(t, c); second == first {
		t.Errorf("the connection is still %v", second)
	}
	closesNext(t, c, closed)
}

// ring is a cluster in operator mode and a Link to some of it.
type ring struct {
	*natstest.Cluster
	operator *natstest.Operator
	closed   <-chan natsmodule.Closed
	link     *natsmodule.Link
}

// startRing links to the first linked of three servers.
func startRing(t *testing.T, linked int) *ring {
	t.Helper()
	r := &ring{operator: natstest.NewOperator(t)}
	r.Cluster = natstest.StartCluster(t, 3, r.operator.Configure, func(o *server.Options) {
		o.LameDuckGracePeriod, o.LameDuckDuration = 10*time.Millisecond, 100*time.Millisecond
	})
	r.link, r.closed = linkedTo(t, func(c *config.Server) {
		for _, node := range r.Nodes[:linked] {
			c.URL += "," + node.URL()
		}
		c.URL = c.URL[1:]
		c.Creds, c.SystemCreds = r.operator.Application.User(t), r.operator.System.User(t)
	})
	return r
}

// client connects to the i-th server and does not come back.
func (r *ring) client(t *testing.T, i int) *nats.Conn {
	t.Helper()
	return r.Connect(t, r.Nodes[i:i+1], nats.NoReconnect(), nats.UserCredentials(r.operator.Application.User(t)), quiet)
}

func TestEveryServerOfAClusterTellsWhoClosed(t *testing.T) {
	t.Parallel()
	r := startRing(t, 1)
	for i := range r.Nodes {
		closesNext(t, r.client(t, i), r.closed)
	}
}

// A server that is told to leave says nothing of connections from then on; neither does
// one that ends.
func TestAServerThatLeavesIsNoClosedConnection(t *testing.T) {
	t.Parallel()
	r := startRing(t, 1)
	for i, leave := range map[int]func(){
		1: func() { r.Nodes[1].Running().LameDuckShutdown() },
		2: r.Nodes[2].Stop,
	} {
		c := r.client(t, i)
		ended := c.StatusChanged(nats.CLOSED)
		leave()
		arrives(t, "end of the client's connection", ended)
		closesNext(t, r.client(t, 0), r.closed)
	}
}

// What happens while the Link is between two servers is lost, and nothing after it.
func TestClosedConnectionsAreToldAgainAfterTheLinkHasMoved(t *testing.T) {
	t.Parallel()
	r := startRing(t, 2)
	for i := range 2 {
		r.Nodes[i].Stop()
		natstest.Await(t, "closed connection that is told", func() bool {
			c := r.client(t, 1-i)
			want := closedOf(t, c)
			c.Close()
			for {
				select {
				case got := <-r.closed:
					if got == want {
						return true
					}
				case <-time.After(200 * time.Millisecond):
					return false
				}
			}
		})
		if !r.link.HasEvents() {
			t.Error("HasEvents() = false")
		}
		r.Nodes[i].Restart(t)
		r.AwaitHealthy(t)
	}
}

// forgery is an advisory that says that c was closed by its peer.
func forgery(t *testing.T, c natsmodule.Closed) []byte {
	t.Helper()
	text := fmt.Sprintf(`{"server":{"id":%q},"client":{"id":%d,"kind":"Client"},"reason":"Client Closed"}`, c.Server, c.Client)
	return []byte(text)
}
