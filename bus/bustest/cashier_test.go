package bustest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/bustest"
	"github.com/roostbus/roost/bus/client"
)

// payAt is the program under test: it says where one can pay.
func payAt(ctx context.Context, c *client.Client) (string, error) {
	payments := client.Scope{Namespace: client.DefaultNamespace, Service: "payments"}
	for r, err := range c.All(ctx, client.Query{Scope: payments}) {
		if err != nil {
			return "", err
		}
		uri, _ := r.Endpoints.Get("http")
		return uri, nil
	}
	return "", errors.New("no payments today")
}

// offer is an instance of what the program looks for, alive until its client is closed.
func offer(t *testing.T, c *client.Client, name string) (owner string) {
	t.Helper()
	s, err := c.NewSession(t.Context(), client.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Register(t.Context(), client.Registration{
		Key:       client.Key{Namespace: client.DefaultNamespace, Service: "payments", Instance: name},
		Endpoints: client.EndpointsOf(map[string]string{"http": "http://" + name}),
	}, client.Write{}); err != nil {
		t.Fatal(err)
	}
	return s.Lease().Owner()
}

func TestOnePaysElsewhereWhenAnInstanceHangs(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	c := r.Client(t)
	first := offer(t, r.Client(t), "i-1")
	offer(t, r.Client(t), "i-2")
	if at, err := payAt(t.Context(), c); err != nil || at != "http://i-1" {
		t.Fatalf("pay at %q, %v", at, err)
	}
	r.EndLease(t, first) // as if i-1 had said nothing for as long as its lease lives
	if at, err := payAt(t.Context(), c); err != nil || at != "http://i-2" {
		t.Errorf("pay at %q, %v", at, err)
	}
}

func TestAnOutageIsNoEmptyRegistry(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	c := r.Client(t, client.WithReadTimeout(time.Second))
	offer(t, r.Client(t), "i-1")
	r.Stop(t)
	if at, err := payAt(t.Context(), c); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("pay at %q, %v; want ErrUnavailable", at, err)
	}
	r.Restart(t)
	if at, err := payAt(t.Context(), r.Client(t)); err != nil || at != "http://i-1" {
		t.Errorf("pay at %q, %v", at, err)
	}
}
