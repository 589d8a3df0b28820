package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// member is a program that is registered under a lease of its own.
type member struct {
	*client.Session

	key     client.Key
	owner   string // of its first lease
	renewed atomic.Int64
}

// fleet is many members, some of which share a client.
type fleet struct {
	clients []*client.Client
	members []*member
	sent    sent
}

// fleetAt starts programs that live with leases like o, spread over clients at url.
func fleetAt(t *testing.T, url, service string, clients, programs int, o client.LeaseOptions, opts ...nats.Option) *fleet {
	t.Helper()
	f := &fleet{members: make([]*member, programs)}
	opts = append(opts, nats.SetCustomDialer(tap{&f.sent}), nats.IgnoreDiscoveredServers())
	for range clients {
		c, err := client.Connect(t.Context(), url, client.WithPrefix(keeperPrefix), client.WithWriteTimeout(patience),
			client.WithReadTimeout(patience), client.WithNATS(opts...))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		f.clients = append(f.clients, c)
	}
	var starting sync.WaitGroup
	for n, c := range f.clients {
		starting.Go(func() {
			for i := n; i < programs; i += clients {
				m, err := join(t.Context(), c, service, fmt.Sprint("m-", i), o)
				if err != nil {
					t.Errorf("start a program: %v", err)
					return
				}
				f.members[i] = m
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return f
}

// join starts a program.
func join(ctx context.Context, c *client.Client, service, instance string, o client.LeaseOptions) (*member, error) {
	m := &member{key: client.Key{Namespace: "default", Service: service, Instance: instance}}
	var err error
	m.Session, err = c.NewSession(ctx, client.SessionOptions{Lease: o, OnRenewed: func(client.Renewal) { m.renewed.Add(1) }})
	if err != nil {
		return nil, err
	}
	m.owner = m.Lease().Owner()
	_, _, err = m.Register(ctx, client.Registration{
		Key: m.key, Weight: client.DefaultWeight, Metadata: client.Metadata(`{"instance":"` + instance + `","pi":3.14159265358979323846}`),
		Endpoints: client.Endpoints{{Name: "http", URI: "http://127.0.0.1/" + instance}},
	}, client.Write{})
	return m, err
}

// die has all clients of f end without a word. It returns when that was, and until when
// the registry may not have ended the leases.
func (f *fleet) die() (at, until time.Time) {
	until = f.members[0].Lease().Deadline()
	at = time.Now()
	for _, c := range f.clients {
		_ = c.Close()
	}
	return at, until
}

// work has every member write something as its owner, which whoever has lost its lease
// cannot.
func (f *fleet) work(t *testing.T) {
	t.Helper()
	var tasks sync.WaitGroup
	for n := range f.clients {
		tasks.Go(func() {
			for i := n; i < len(f.members); i += len(f.clients) {
				m := f.members[i]
				if _, _, err := m.Update(t.Context(), m.key, client.Change{Weight: new(uint16(7))}, client.Write{}); err != nil {
					t.Errorf("%s cannot write under its lease: %v", m.key, err)
				}
			}
		})
	}
	tasks.Wait()
}

// valid waits until all members know that they live.
func (f *fleet) valid(t *testing.T) {
	t.Helper()
	natstest.Await(t, "validity of all leases", func() bool {
		for _, m := range f.members {
			if !m.Valid() {
				return false
			}
		}
		return true
	})
}

// unharmed fails unless every member has the lease that it began with.
func (f *fleet) unharmed(t *testing.T) {
	t.Helper()
	for _, m := range f.members {
		if owner := m.Lease().Owner(); m.renewed.Load() != 0 || owner != m.owner || m.Lease().Err() != nil {
			t.Errorf("%s lost its lease: owner %s, before %s, %d renewals, %v", m.key, owner, m.owner, m.renewed.Load(), m.Lease().Err())
		}
	}
}

// listed is what the registry has of a service, with revisions and owners.
func listed(t *testing.T, c *client.Client, service string) map[string]client.Registration {
	t.Helper()
	all := map[string]client.Registration{}
	q := client.Query{Scope: client.Scope{Namespace: "default", Service: service}, Read: client.Read{Consistency: client.Linearizable}}
	for r, err := range c.All(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		all[r.Instance] = *r
	}
	return all
}

// same fails unless the registry has of a service what it had before, revision by revision.
func same(t *testing.T, c *client.Client, service string, before map[string]client.Registration) {
	t.Helper()
	if diff := cmp.Diff(before, listed(t, c, service)); diff != "" {
		t.Errorf("%s (-before +after):\n%s", service, diff)
	}
}

// asMember makes the test binary be one program of a fleet, at the URL that it holds.
const asMember = "ROOST_TEST_MEMBER"

// memberMain lives as instance of a service until in ends, with a lease that is long
// enough for its end to be that of its connection.
func memberMain(value string, in io.Reader, out io.Writer) error {
	url, names, _ := strings.Cut(value, " ")
	service, instance, _ := strings.Cut(names, " ")
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c, err := client.Connect(ctx, url, client.WithPrefix(keeperPrefix))
	if err != nil {
		return err
	}
	if _, err := join(ctx, c, service, instance, client.LeaseOptions{TTL: time.Minute, Grace: new(time.Second)}); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "registered"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// memberAt starts such a process and returns when it is registered.
func memberAt(t *testing.T, url, service, instance string) *os.Process {
	t.Helper()
	cmd, out := childAt(t, asMember, url+" "+service+" "+instance, os.Stderr)
	var word string
	if _, err := fmt.Fscanln(out, &word); err != nil {
		t.Fatal(errors.Join(errors.New("the program did not register"), err))
	}
	return cmd.Process
}
