package e2e_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// relay passes requests under one prefix on to the registry under another. It can be
// made to swallow requests or replies.
type relay struct {
	prefix string

	mu       sync.Mutex
	requests []*nats.Msg
	swallow  func(n int, reply *nats.Msg) bool // the reply to the n-th request, from 1
}

func startRelay(t *testing.T, srv *natstest.Server, to string, swallow func(n int, reply *nats.Msg) bool) *relay {
	t.Helper()
	r := &relay{prefix: to + ".relay", swallow: swallow}
	nc := srv.Connect(t)
	_, err := nc.Subscribe(r.prefix+".registry.>", func(m *nats.Msg) {
		r.mu.Lock()
		r.requests = append(r.requests, m)
		n := len(r.requests)
		r.mu.Unlock()
		reply, err := nc.RequestMsg(&nats.Msg{
			Subject: to + strings.TrimPrefix(m.Subject, r.prefix), Header: m.Header, Data: m.Data,
		}, 20*time.Second)
		if err != nil {
			t.Errorf("relay %s: %v", m.Subject, err)
			return
		}
		if r.swallow(n, reply) {
			return
		}
		if err := m.RespondMsg(&nats.Msg{Header: reply.Header, Data: reply.Data}); err != nil {
			t.Errorf("relay the reply on %s: %v", m.Subject, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

// ids returns the request ids that came by.
func (r *relay) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, m := range r.requests {
		ids = append(ids, m.Header.Get(bus.HeaderRequestID))
	}
	return ids
}

func theFirst(n int, _ *nats.Msg) bool { return n == 1 }

func TestAWriteWhoseReplyIsLostIsDoneOnce(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	weight := uint16(7)
	for verb, write := range map[string]func(c *client.Client) error{
		"register": func(c *client.Client) error {
			r, _, err := c.Register(t.Context(), client.Registration{Key: paymentsKey("new")}, client.Write{If: client.IfAbsent()})
			if err == nil && r.Revision != r.CreatedRevision {
				t.Errorf("registered at %d and again at %d", r.CreatedRevision, r.Revision)
			}
			return err
		},
		"update": func(c *client.Client) error {
			_, _, err := c.Update(t.Context(), paymentsKey("old"), client.Change{Weight: &weight}, client.Write{})
			return err
		},
		"unregister": func(c *client.Client) error {
			removal, _, err := c.Unregister(t.Context(), paymentsKey("old"), client.Write{})
			if err == nil && !removal.Removed {
				t.Error("the repeat says that nothing was removed")
			}
			return err
		},
		"batch": func(c *client.Client) error {
			results, _, err := c.Batch(t.Context(), []client.Operation{
				{Kind: client.OpUpdate, Registration: payments("old"), Change: client.Change{Weight: &weight}},
			}, true)
			if err == nil {
				err = results[0].Err
			}
			return err
		},
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			prefix := startRegistry(t, srv, "").prefix
			direct := connectClient(t, srv, prefix)
			if _, _, err := direct.Register(t.Context(), payments("old"), client.Write{}); err != nil {
				t.Fatal(err)
			}
			events := srv.Connect(t)
			heard, err := events.SubscribeSync(prefix + ".event.>")
			if err != nil {
				t.Fatal(err)
			}
			if err := events.Flush(); err != nil {
				t.Fatal(err)
			}

			r := startRelay(t, srv, prefix, theFirst)
			if err := write(connectClient(t, srv, r.prefix)); err != nil {
				t.Fatalf("%s: %v", verb, err)
			}
			if ids := r.ids(); len(ids) != 2 || ids[0] == "" || ids[0] != ids[1] {
				t.Errorf("request ids %q; want the same twice", ids)
			}
			if _, _, err := direct.Register(t.Context(), payments("marker"), client.Write{}); err != nil {
				t.Fatal(err)
			}
			n := 0
			for {
				m, err := heard.NextMsg(10 * time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(m.Subject, ".marker") {
					break
				}
				n++
			}
			if n != 1 {
				t.Errorf("%d events; want 1", n)
			}
		})
	}
}

func TestAWriteWhoseReplyIsLostDoesNotUndoWhatOthersDidSince(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	others := uint16(9)
	for verb, test := range map[string]struct {
		write  func(c *client.Client) error
		others func(c *client.Client) error
		want   uint16 // the weight in the end
	}{
		"register": {
			write: func(c *client.Client) error {
				_, _, err := c.Register(t.Context(), client.Registration{Key: paymentsKey("i"), Weight: 2}, client.Write{})
				return err
			},
			others: func(c *client.Client) error {
				_, _, err := c.Update(t.Context(), paymentsKey("i"), client.Change{Weight: &others}, client.Write{})
				return err
			},
			want: others,
		},
		"unregister": {
			write: func(c *client.Client) error {
				_, _, err := c.Unregister(t.Context(), paymentsKey("i"), client.Write{})
				return err
			},
			others: func(c *client.Client) error {
				_, _, err := c.Register(t.Context(), client.Registration{Key: paymentsKey("i"), Weight: others}, client.Write{})
				return err
			},
			want: others,
		},
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			prefix := startRegistry(t, srv, "").prefix
			direct := connectClient(t, srv, prefix)
			if _, _, err := direct.Register(t.Context(), payments("i"), client.Write{}); err != nil {
				t.Fatal(err)
			}
			r := startRelay(t, srv, prefix, func(n int, _ *nats.Msg) bool {
				if n == 1 { // it is done, nobody knows, and somebody else is next
					if err := test.others(direct); err != nil {
						t.Error(err)
					}
				}
				return n == 1
			})
			err := test.write(connectClient(t, srv, r.prefix))
			if !errors.Is(err, client.ErrUnknownOutcome) || errors.Is(err, client.ErrConflict) {
				t.Errorf("%s: %v; want an unknown outcome and nothing certain", verb, err)
			}
			got, _, err := direct.Lookup(t.Context(), paymentsKey("i"), client.Read{})
			if err != nil || got.Weight != test.want {
				t.Errorf("in the end weight %d, %v; want %d, which others wrote", got.Weight, err, test.want)
			}
		})
	}
}

func TestAnAtomicBatchRepeatedByItsCallerGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	c := connectClient(t, srv, startRegistry(t, srv, "").prefix)
	operations := []client.Operation{
		{Kind: client.OpRegister, Registration: payments("a"), Write: client.Write{ID: backend.OperationID{1}, If: client.IfAbsent()}},
		{Kind: client.OpRegister, Registration: payments("b"), Write: client.Write{ID: backend.OperationID{2}, If: client.IfAbsent()}},
	}
	first, _, err := c.Batch(t.Context(), operations, true)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := c.Batch(t.Context(), operations, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		if first[i].Revision() == 0 || first[i].Revision() != again[i].Revision() {
			t.Errorf("operation %d: revision %d, then %d", i, first[i].Revision(), again[i].Revision())
		}
	}
}
