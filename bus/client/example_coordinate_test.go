package client_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/bus/client/fenced"
)

// granted returns a client and a lease.
func granted(ctx context.Context) (*client.Client, *client.Lease) {
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	lease, err := c.Grant(ctx, client.LeaseOptions{})
	if err != nil {
		log.Fatal(err)
	}
	return c, lease
}

// A lock is worth what the resource makes of its token: here a database refuses a holder
// that was stopped and wakes up after another was given the lock.
func ExampleLock_Do() {
	ctx := context.Background()
	c, lease := granted(ctx)
	defer func() { _ = c.Close() }()
	var db *sql.DB // with a table invoices (id, total, token)

	err := c.Lock(client.DefaultNamespace, "invoice-17").Do(ctx, lease, client.LockOptions{Wait: time.Minute},
		func(ctx context.Context, token client.Token) error {
			result, err := db.ExecContext(ctx,
				`UPDATE invoices SET total = total + 10, token = $1 WHERE id = 17 AND token <= $1`, token)
			if err != nil {
				return err
			}
			switch n, err := result.RowsAffected(); {
			case err != nil:
				return err
			case n == 0:
				return errors.New("somebody has had the lock since: this token is refused")
			}
			return nil
		})
	if errors.Is(err, client.ErrTimeout) {
		fmt.Println("it was not our turn within a minute")
	}
}

// A leader writes to a bucket that refuses whoever led before.
func ExampleElection_Campaign() {
	ctx := context.Background()
	c, lease := granted(ctx)
	defer func() { _ = c.Close() }()
	nc, err := nats.Connect("nats://127.0.0.1:4223") // where applications have JetStream
	if err != nil {
		log.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}

	leads, err := c.Election(client.DefaultNamespace, "planner").Campaign(ctx, lease,
		client.CampaignOptions{Value: json.RawMessage(`{"http": "http://10.0.0.7:8080"}`)})
	if err != nil {
		log.Fatal(err)
	}
	working, cancel := leads.Context(ctx)
	defer cancel()
	bucket, err := fenced.Open(working, js, "plans", leads.Token())
	if err != nil {
		log.Fatal(err)
	}
	for working.Err() == nil {
		if _, err := bucket.Put(working, "today", []byte("…")); errors.Is(err, fenced.ErrFenced) {
			break // another leads
		}
	}
	fmt.Println("leads no more:", context.Cause(working))
}

// Whoever depends on the leader learns where it is.
func ExampleElection_Observe() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	for leader, err := range c.Election(client.DefaultNamespace, "planner").Observe(ctx) {
		switch {
		case err != nil:
			log.Fatal(err)
		case leader.Owner == "":
			fmt.Println("nobody leads after term", leader.Term)
		default:
			fmt.Println("term", leader.Term, "is led at", string(leader.Value))
		}
	}
}

// One of a fleet runs, wherever it is; the others take over when it is gone.
func ExampleClient_Singleton() {
	ctx := context.Background()
	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	err = c.Singleton(ctx, client.DefaultNamespace, "billing-run", func(ctx context.Context, s *client.Shift) error {
		for ctx.Err() == nil {
			fmt.Println("bills one more customer, as", s.Token())
			s.Alive()
		}
		return ctx.Err()
	}, client.SingletonOptions{Stall: time.Minute})
	if errors.Is(err, client.ErrHung) {
		log.Fatal(err) // and be started anew
	}
}

// A voter answers for a participant for as long as its lease lives.
func ExampleVoter() {
	ctx := context.Background()
	c, lease := granted(ctx)
	defer func() { _ = c.Close() }()

	voter := client.Voter{Lease: lease, Decide: func(_ context.Context, p client.Proposal) (bool, string, error) {
		return p.Name == "schema", "", nil
	}}
	go func() {
		if err := voter.Run(ctx, c); err != nil {
			log.Print(err)
		}
	}()

	schema := c.Proposals(client.DefaultNamespace, "schema")
	p, err := schema.Propose(ctx, lease, json.RawMessage(`{"version": 8}`), client.ProposeOptions{
		Service: client.Scope{Namespace: client.DefaultNamespace, Service: "payments"}, Quorum: client.QuorumAll(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if p, err = schema.Wait(ctx, p.ID); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Decision, p.Reason)
}
