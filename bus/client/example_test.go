package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/roostbus/roost/bus/client"
)

func Example() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	payments := client.Scope{Namespace: client.DefaultNamespace, Service: "payments"}
	metadata, err := client.MetadataOf(map[string]any{"region": "eu-west"})
	if err != nil {
		log.Fatal(err)
	}
	_, _, err = c.Register(ctx, client.Registration{
		Key:       client.Key{Namespace: payments.Namespace, Service: payments.Service, Instance: "i-1"},
		Endpoints: client.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080"}),
		Metadata:  metadata,
		Weight:    client.DefaultWeight,
	}, client.Write{})
	if err != nil {
		log.Fatal(err)
	}

	for r, err := range c.All(ctx, client.Query{Scope: payments, Status: []client.Status{client.Up}}) {
		if err != nil {
			log.Fatal(err) // what came before is not the whole
		}
		uri, _ := r.Endpoints.Get("http")
		fmt.Println(r.Instance, uri)
	}
}

// A session keeps a process registered as long as it lives, and takes it out when it ends.
func ExampleClient_NewSession() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	s, err := c.NewSession(ctx, client.SessionOptions{
		Lease: client.LeaseOptions{TTL: 15 * time.Second, Name: "payments-7f9c"},
		OnRenewed: func(r client.Renewal) {
			log.Printf("was taken for dead (%v), registered again: %v", r.Cause, r.Err)
		},
		OnRegistration: func(key client.Key, err error) {
			log.Printf("%s: %v", key, err)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = s.Close(ctx) }()

	_, _, err = s.Register(ctx, client.Registration{
		Key:       client.Key{Namespace: client.DefaultNamespace, Service: "payments", Instance: "i-1"},
		Endpoints: client.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080"}),
		Weight:    client.DefaultWeight,
	}, client.Write{})
	if err != nil {
		log.Fatal(err)
	}
	<-s.Done() // serve
}

// Work that only the holder of a lease may do stops when that is not certain any more.
func ExampleLease_Context() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	lease, err := c.Grant(ctx, client.LeaseOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = lease.Revoke(ctx) }()

	_, _, err = c.Register(ctx, client.Registration{
		Key: client.Key{Namespace: client.DefaultNamespace, Service: "nightly-report"}, // no instance: one holder
	}, client.Write{Owner: lease.Owner()})
	if err != nil {
		log.Fatal(err) // client.ErrExists says who holds it
	}
	working, cancel := lease.Context(ctx)
	defer cancel()
	for working.Err() == nil {
		fmt.Println("one more step, under", working)
	}
	fmt.Println("stopped:", context.Cause(working))
}

func ExampleClient_Watch() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	q := client.Query{Scope: client.Scope{Namespace: client.DefaultNamespace, Service: "payments"}}
	for e, err := range c.Watch(ctx, q, 0) {
		switch {
		case err != nil:
			log.Fatal(err)
		case e.Kind == client.Gap:
			fmt.Println("single changes were missed; the newest state follows")
		default:
			fmt.Println(e.Kind, e.Registration.Instance, e.Revision)
		}
	}
}

// A write on a condition either happens on the state that was read or not at all.
func ExampleClient_Update() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	key := client.Key{Namespace: client.DefaultNamespace, Service: "payments", Instance: "i-1"}
	r, stamp, err := c.Lookup(ctx, key, client.Read{})
	if err != nil {
		log.Fatal(err)
	}
	draining := client.Draining
	_, _, err = c.Update(ctx, key, client.Change{Status: &draining},
		client.Write{If: client.IfRevision(r.Revision), Epoch: stamp.Epoch})
	switch {
	case errors.Is(err, client.ErrConflict):
		fmt.Println("somebody else was faster")
	case errors.Is(err, client.ErrUnknownOutcome):
		fmt.Println("it may have happened: look")
	case err != nil:
		log.Fatal(err)
	}
}
