package nats_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/nats"
)

// aborts has c's end of the connection reset.
func aborts(t testing.TB, c *client) {
	t.Helper()
	if err := c.net.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := c.net.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheEmbeddedServerTellsWhoClosed(t *testing.T) {
	t.Parallel()
	link := mustOpen(t, embedded())
	if !link.HasEvents() {
		t.Error("HasEvents() = false")
	}
	heard := listen(t, link)
	for _, row := range []struct {
		reason string
		end    func(testing.TB, *client)
	}{
		{"Client Closed", func(_ testing.TB, c *client) { c.Close() }},
		{"Read Error", aborts},
	} {
		c := connect(t, link.ClientURL)
		want := c.end(t, row.reason)
		row.end(t, c)
		if diff := cmp.Diff(want, next(t, heard)); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	}
}

func TestAnExternalServerTellsWhoClosed(t *testing.T) {
	t.Parallel()
	x := startExternal(t)
	if !x.link.HasEvents() {
		t.Error("HasEvents() = false")
	}
	closes(t, x.connect(t), x.heard)
}

// quickPings finds silence in half a second.
func quickPings(o *server.Options) { o.PingInterval, o.MaxPingsOut = 150*time.Millisecond, 2 }

// noChange is of a server as it is by default.
func noChange(*server.Options) {}

func says(text string) func(*testing.T, *external, *client) {
	return func(t *testing.T, _ *external, c *client) {
		t.Helper()
		if _, err := c.net.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAConnectionThatTheServerEndsIsNotHeard ends a connection, waits until the server has
// said so, and then has another one closed: that is the first to be heard.
func TestAConnectionThatTheServerEndsIsNotHeard(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		reason string
		change func(*server.Options)
		end    func(*testing.T, *external, *client)
	}{
		{"Stale Connection", quickPings, func(t *testing.T, _ *external, c *client) { t.Helper(); c.net.hold(t) }},
		{"Kicked", noChange, func(t *testing.T, x *external, c *client) {
			t.Helper()
			if err := x.server.Running().DisconnectClientByID(c.end(t, "").Client); err != nil {
				t.Fatal(err)
			}
		}},
		{"Slow Consumer (Pending Bytes)", func(o *server.Options) { o.MaxPending = 1 << 20 }, overwhelm},
		{"Protocol Violation", noChange, says("NONSENSE\r\n")},
		{"Maximum Message Payload Exceeded", noChange, says("PUB much 99999999\r\n")},
	} {
		t.Run(row.reason, func(t *testing.T) {
			t.Parallel()
			x := startExternal(t, row.change)
			c := x.connect(t)
			id := c.end(t, "").Client
			row.end(t, x, c)
			if got := x.awaitEnd(t, id); got != row.reason {
				t.Fatalf("the server ended the connection for %q; want %q", got, row.reason)
			}
			closes(t, x.connect(t), x.heard)
		})
	}
}

// overwhelm sends c more than it can take while it does not read.
func overwhelm(t *testing.T, x *external, c *client) {
	t.Helper()
	if _, err := c.SubscribeSync("flood"); err != nil {
		t.Fatal(err)
	}
	if err := c.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	c.net.hold(t)
	flood := x.connect(t)
	id := c.end(t, "").Client
	for range 256 {
		if err := flood.Publish("flood", make([]byte, 512<<10)); err != nil {
			t.Fatal(err)
		}
		if conns, err := x.server.Running().Connz(&server.ConnzOptions{CID: id}); err != nil || conns.NumConns == 0 {
			return
		}
	}
}

func TestExpiredCredentialsOfAClientAreNotAClosedConnection(t *testing.T) {
	t.Parallel()
	x := startExternal(t)
	c := connect(t, x.server.URL(), natsgo.UserCredentials(x.operator.Application.User(t, expiring)))
	if got := x.awaitEnd(t, c.end(t, "").Client); got != "Authentication Expired" {
		t.Fatalf("the server ended the connection for %q", got)
	}
	closes(t, x.connect(t), x.heard)
}

// expiring has credentials end soon: their time counts in seconds.
func expiring(c *jwt.UserClaims) { c.Expires = time.Now().Add(2 * time.Second).Unix() }

func TestWithoutSystemCredentialsThereAreNoEvents(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream)
	link := mustOpen(t, elsewhere(s.URL()))
	if link.HasEvents() {
		t.Error("HasEvents() = true")
	}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error)
	go func() { returned <- link.Events(ctx, func(c nats.Closed) { t.Errorf("heard %v", c) }) }()
	connect(t, s.URL()).Close()
	cancel()
	if err := next(t, returned); err != nil {
		t.Errorf("Events() = %v", err)
	}
}

func TestSystemCredentialsThatDoNotServeAreAnErrorAtTheStart(t *testing.T) {
	t.Parallel()
	o := natstest.NewOperator(t)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, o.Configure)
	nonsense := filepath.Join(t.TempDir(), "nonsense")
	if err := os.WriteFile(nonsense, []byte("let me in"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, file, want string }{
		{"absent", filepath.Join(t.TempDir(), "absent"), "no such file"},
		{"no credentials", nonsense, "neither credentials nor the seed"},
		{"of an application", o.Application.User(t), "nobody there tells of connections"},
		{"of another operator", natstest.NewOperator(t).System.User(t), "Authorization Violation"},
		{"who may not ask", o.System.User(t, func(c *jwt.UserClaims) { c.Pub.Deny.Add("$SYS.>") }), "Permissions Violation"},
		{"who may not hear", o.System.User(t, func(c *jwt.UserClaims) { c.Sub.Deny.Add("$SYS.ACCOUNT.>") }), "Permissions Violation"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := elsewhere(s.URL())
			c.Creds, c.SystemCreds = o.Application.User(t), row.file
			_, err := open(t, c, slog.DiscardHandler)
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "--system-creds") {
				t.Errorf("Open() = %v; want an error about --system-creds with %q in it", err, row.want)
			}
			natstest.Await(t, "connection closed", func() bool { return s.Running().NumClients() == 0 })
		})
	}
}

// The least that the documentation says a user needs.
func TestTheDocumentedPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	o := natstest.NewOperator(t)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, o.Configure)
	c := elsewhere(s.URL())
	c.Creds = o.Application.User(t)
	c.SystemCreds = o.System.User(t, func(u *jwt.UserClaims) {
		u.Pub.Allow.Add("$SYS.REQ.SERVER.*.CONNZ")
		u.Sub.Allow.Add("$SYS.ACCOUNT.*.DISCONNECT", "_INBOX.>")
	})
	link := mustOpen(t, c)
	heard := listen(t, link)
	closes(t, connect(t, s.URL(), natsgo.UserCredentials(c.Creds)), heard)
}

func TestSystemCredentialsThatEndAreSaidOnceAndHeardAgainWhenRenewed(t *testing.T) {
	t.Parallel()
	o := natstest.NewOperator(t)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, o.Configure)
	c := elsewhere(s.URL())
	c.Creds, c.SystemCreds = o.Application.User(t), o.System.User(t, expiring)
	var said record
	link, err := open(t, c, slog.NewTextHandler(&said, nil))
	if err != nil {
		t.Fatal(err)
	}
	heard := listen(t, link)
	natstest.Await(t, "end of the credentials", func() bool { return !link.HasEvents() })
	natstest.Await(t, "refused tries", func() bool {
		ended, err := s.Running().Connz(&server.ConnzOptions{State: server.ConnClosed})
		return err == nil && ended.Total >= 3
	})
	o.System.Renew(t, c.SystemCreds)
	natstest.Await(t, "return", link.HasEvents)
	closes(t, connect(t, s.URL(), natsgo.UserCredentials(c.Creds)), heard)
	if n := strings.Count(said.String(), "refuses"); n != 1 {
		t.Errorf("the refusal was logged %d times; want once:\n%s", n, said.String())
	}
}

// record is what was logged.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// BenchmarkAClosedConnectionIsHeard measures from the client's close to the call.
func BenchmarkAClosedConnectionIsHeard(b *testing.B) {
	link := mustOpen(b, embedded())
	heard := listen(b, link)
	var worst time.Duration
	for range b.N {
		b.StopTimer()
		c := connect(b, link.ClientURL)
		b.StartTimer()
		start := time.Now()
		c.Close()
		next(b, heard)
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
}
