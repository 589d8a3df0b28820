package e2e_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// TestAClientThatNATSRefusesForAWhileIsNotClosedForGood has a NATS server start that does
// not know the client's account yet. R4.
func TestAClientThatNATSRefusesForAWhileIsNotClosedForGood(t *testing.T) {
	t.Parallel()
	password := func(p string) func(*server.Options) {
		return func(o *server.Options) { o.Username, o.Password = "u", p }
	}
	listen := listenAgain(t)
	srv := natstest.Start(t, listen, password("right"))
	refused, back := make(chan struct{}, 100), make(chan struct{}, 100)
	c, err := client.Connect(t.Context(), srv.URL(), client.WithReadTimeout(100*time.Millisecond), client.WithNATS(
		nats.UserInfo("u", "right"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrAuthorization) {
				refused <- struct{}{}
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }),
	))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	await := func(what string, happened <-chan struct{}) {
		t.Helper()
		select {
		case <-happened:
		case <-time.After(patience):
			_, _, err := c.Count(t.Context(), client.Query{})
			t.Fatalf("the client is not %s; a read says %v", what, err)
		}
	}
	srv.Stop()
	other := natstest.Start(t, listen, password("another"))
	for range 3 { // after two of one server a connection gives up unless it is told not to
		await("refused", refused)
	}
	other.Stop()
	srv.Restart(t)
	await("connected again", back)
	if _, _, err := c.Count(t.Context(), client.Query{}); errors.Is(err, client.ErrClosed) {
		t.Errorf("a read says %v", err)
	}
}
