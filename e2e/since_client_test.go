package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// waited is what a wait of a client has come to.
type waited struct {
	page  *client.Page
	found client.Registration
	err   error
}

// A node that stops hands those who wait at it to the next one.
func TestAWaitOfAClientSurvivesTheStopOfItsNode(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	first := startRegistry(t, srv, "")
	c := connectClient(t, srv, first.prefix)
	_, stamp, err := c.Register(t.Context(), payments("i-1"), client.Write{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const each = 20
	outcomes := make(chan waited, 2*each)
	for range each {
		go func() {
			read := client.Read{Epoch: stamp.Epoch, Wait: time.Hour}
			page, _, err := c.List(ctx, client.Query{Scope: client.Scope{Namespace: "default", Service: "payments"}, Since: &stamp.Revision, Read: read})
			outcomes <- waited{page: page, err: err}
		}()
		go func() {
			found, _, err := c.Lookup(ctx, paymentsKey("i-2"), client.Read{Wait: time.Hour})
			outcomes <- waited{found: found, err: err}
		}()
	}
	natstest.Await(t, "requests that wait", func() bool {
		report, err := c.Report(ctx)
		return err == nil && report.Requests.Waiting == 2*each
	})
	second := startRegistry(t, srv, first.prefix)
	begun := time.Now()
	first.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the node took %v to stop", took)
	}
	defer second.stop()
	natstest.Await(t, "requests that wait at the other node", func() bool {
		report, err := c.Report(ctx)
		return err == nil && report.Requests.Waiting == 2*each
	})
	r, _, err := c.Register(ctx, payments("i-2"), client.Write{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * each {
		switch o := <-outcomes; {
		case o.err != nil:
			t.Errorf("a wait ended with %v", o.err)
		case o.page == nil && o.found.Revision != r.Revision:
			t.Errorf("looked up %d; want %d", o.found.Revision, r.Revision)
		case o.page != nil && (len(o.page.Registrations) != 1 || o.page.Registrations[0].Revision != r.Revision):
			t.Errorf("listed %+v; want the registration at %d", o.page, r.Revision)
		}
	}
}

// A program that follows by lists alone, with waits, over nodes that come and go.
func TestAFollowerByListsThatWaitEndsExactThoughNodesComeAndGo(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	node := startRegistry(t, srv, "")
	writer := connectClient(t, srv, node.prefix)
	reader := connectClient(t, srv, node.prefix)
	_, stamp, err := writer.Register(t.Context(), payments("anchor"), client.Write{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	held := map[client.Key]client.Revision{}
	last := paymentsKey("last")
	var following sync.WaitGroup
	following.Go(func() {
		at := stamp
		for {
			q := client.Query{Scope: client.Scope{Namespace: "default"}, Limit: 3, Since: &at.Revision, Read: client.Read{Epoch: at.Epoch, Wait: 10 * time.Second}}
			var first client.Stamp
			for {
				page, now, err := reader.List(ctx, q)
				if err != nil {
					t.Errorf("list since %d: %v", at.Revision, err)
					return
				}
				if q.After == "" {
					first = now
				}
				for _, r := range page.Registrations {
					held[r.Key] = max(held[r.Key], r.Revision)
				}
				for _, r := range page.Removed {
					if r.Revision > held[r.Key] {
						delete(held, r.Key)
					}
				}
				if q.After = page.Next; q.After == "" {
					break
				}
			}
			if at = first; held[last] != 0 {
				return
			}
		}
	})
	for i := range 150 {
		r := payments(fmt.Sprint("i-", i%11))
		r.Weight = uint16(i)
		if _, _, err := writer.Register(ctx, r, client.Write{}); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if _, _, err := writer.Unregister(ctx, paymentsKey(fmt.Sprint("i-", i*5%11)), client.Write{}); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 49 {
			next := startRegistry(t, srv, node.prefix)
			node.stop()
			node = next
		}
	}
	if _, _, err := writer.Register(ctx, payments("last"), client.Write{}); err != nil {
		t.Fatal(err)
	}
	following.Wait()
	want := map[client.Key]client.Revision{}
	for r, err := range writer.All(ctx, client.Query{Read: client.Read{Consistency: client.Linearizable}}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Revision > stamp.Revision {
			want[r.Key] = r.Revision
		}
	}
	if len(held) != len(want) {
		t.Errorf("holds %d; want %d", len(held), len(want))
	}
	for key, revision := range want {
		if held[key] != revision {
			t.Errorf("holds %s at %d; want %d", key, held[key], revision)
		}
	}
}
