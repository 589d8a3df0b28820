package e2e_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// TestASendingThatArrivesAfterItsRepeatWasDoneChangesNothing delays the first sending of a
// write, as a NATS server does that was stopped and wakes, until its repeat was acknowledged
// and others have written since. R2.
func TestASendingThatArrivesAfterItsRepeatWasDoneChangesNothing(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	weight := uint16(7)
	for name, write := range map[string]func(c *client.Client) error{
		"register": func(c *client.Client) error {
			_, _, err := c.Register(t.Context(), client.Registration{Key: paymentsKey("a"), Weight: weight}, client.Write{})
			return err
		},
		"register if absent": func(c *client.Client) error {
			_, _, err := c.Register(t.Context(), client.Registration{Key: paymentsKey("b"), Weight: weight}, client.Write{If: client.IfAbsent()})
			return err
		},
		"update": func(c *client.Client) error {
			_, _, err := c.Update(t.Context(), paymentsKey("a"), client.Change{Weight: &weight}, client.Write{})
			return err
		},
		"unregister": func(c *client.Client) error {
			_, _, err := c.Unregister(t.Context(), paymentsKey("a"), client.Write{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := startRegistry(t, srv, "").prefix
			others := connectClient(t, srv, prefix)
			if _, _, err := others.Register(t.Context(), payments("a"), client.Write{}); err != nil {
				t.Fatal(err)
			}
			late := delayFirst(t, srv, prefix)
			sender := connectClient(t, srv, prefix+".late")
			heard := client.Query{Read: client.Read{Consistency: client.Linearizable}} // of what was registered, too
			if _, _, err := sender.Count(t.Context(), heard); err != nil {
				t.Fatal(err)
			}
			if err := write(sender); err != nil {
				t.Fatal(err)
			}
			// What others do since: a is what it was, and b is not there.
			if _, _, err := others.Register(t.Context(), payments("a"), client.Write{}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := others.Unregister(t.Context(), paymentsKey("b"), client.Write{}); err != nil {
				t.Fatal(err)
			}
			before := selected(t, others, client.Query{})
			reply := late(t)
			after := selected(t, others, client.Query{})
			if len(after) != len(before) || after[paymentsKey("a")] != before[paymentsKey("a")] {
				t.Errorf("after the first sending: %v; want %v; it was answered %v %s", after, before, reply.Header, reply.Data)
			}
		})
	}
}

// delayFirst passes requests on to the registry under prefix that are sent to
// prefix.late. The first write waits until what it returns is called, which returns the
// reply.
func delayFirst(t *testing.T, srv *natstest.Server, prefix string) func(t *testing.T) *nats.Msg {
	t.Helper()
	nc := srv.Connect(t)
	var writes atomic.Int32
	first := make(chan *nats.Msg, 1)
	pass := func(m *nats.Msg) (*nats.Msg, error) {
		return nc.RequestMsg(&nats.Msg{
			Subject: prefix + strings.TrimPrefix(m.Subject, prefix+".late"), Header: m.Header, Data: m.Data,
		}, 20*time.Second)
	}
	if _, err := nc.Subscribe(prefix+".late.>", func(m *nats.Msg) {
		if !strings.Contains(m.Subject, ".count") && writes.Add(1) == 1 {
			first <- m
			return
		}
		if reply, err := pass(m); err == nil {
			_ = m.RespondMsg(&nats.Msg{Header: reply.Header, Data: reply.Data})
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) *nats.Msg {
		t.Helper()
		reply, err := pass(<-first)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
}
