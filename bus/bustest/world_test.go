package bustest_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/bustest"
	"github.com/roostbus/roost/bus/client"
)

// patience is how long anything may take.
const patience = 20 * time.Second

var payments = client.Registration{
	Key:       client.Key{Namespace: client.DefaultNamespace, Service: "payments", Instance: "i-1"},
	Endpoints: client.EndpointsOf(map[string]string{"http": "http://127.0.0.1:8080"}),
	Weight:    client.DefaultWeight,
}

// happening is a published event, as far as tests look at it.
type happening struct{ kind, reason, subject string }

// listen returns what happens from now on.
func listen(t testing.TB, r *bustest.Registry) <-chan happening {
	t.Helper()
	nc := r.Connect(t)
	heard := make(chan happening, 64)
	if _, err := nc.Subscribe(r.Prefix()+".event.>", func(m *nats.Msg) {
		heard <- happening{m.Header.Get("Roost-Event"), m.Header.Get("Roost-Reason"), m.Subject}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return heard
}

func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing within %v", patience)
		panic("unreachable")
	}
}

// eventually waits until nothing is wrong.
func eventually(t testing.TB, wrong func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		err := wrong()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// grant has c granted a lease that registers payments.
func grant(t testing.TB, c *client.Client, o client.LeaseOptions) *client.Lease {
	t.Helper()
	l, err := c.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Register(t.Context(), payments, client.Write{Owner: l.Owner()}); err != nil {
		t.Fatal(err)
	}
	return l
}
