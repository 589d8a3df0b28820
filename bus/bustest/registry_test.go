package bustest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/bustest"
	"github.com/roostbus/roost/bus/client"
)

func TestEveryRequestIsAnsweredWhenStartReturns(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	nc := r.Connect(t)
	const secret = "a-secret-of-a-test-0001"
	for _, ask := range []struct{ subject, body string }{
		{"lease.grant", `{"lease":"` + secret + `"}`},
		{"registry.register.default.payments.i-1", `{"lease":"` + secret + `"}`},
		{"registry.list", ""},
		{"lease.get." + bus.Owner(secret), ""},
		{"lock.acquire.default.db", `{"lease":"` + secret + `"}`},
		{"election.campaign.default.scheduler", `{"lease":"` + secret + `"}`},
		{"semaphore.acquire.default.pool", `{"lease":"` + secret + `","limit":2}`},
		{"barrier.arrive.default.start", `{"lease":"` + secret + `","size":1}`},
		{"counter.add.default.visits", `{"delta":"1"}`},
		{"proposal.propose.default.schema", `{"lease":"` + secret + `","value":1,"voters":["` + bus.Owner(secret) + `"]}`},
		{"admin.revoke." + bus.Owner(secret), ""},
	} {
		reply, err := nc.Request(r.Prefix()+"."+ask.subject, []byte(ask.body), patience)
		if err != nil {
			t.Fatalf("%s: %v", ask.subject, err)
		}
		if problem := reply.Header.Get("Nats-Service-Error"); problem != "" {
			t.Errorf("%s: %s", ask.subject, problem)
		}
	}
}

func TestTheRegistryIsHealthyAndHearsOfClosedConnections(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	reply, err := r.Connect(t).Request(r.Subjects().Health(), nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var h bus.HealthReply
	if err := json.Unmarshal(reply.Data, &h); err != nil {
		t.Fatal(err)
	}
	if h.Status != backend.Healthy || len(h.Problems) > 0 || h.Keeper == nil || h.ConnectionEvents == nil || !*h.ConnectionEvents {
		t.Errorf("health is %s", reply.Data)
	}
}

func TestNothingOfALeaseIsThereWhenEndLeaseReturns(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	holder, other := r.Client(t), r.Client(t)
	for round := range 20 {
		heard := listen(t, r)
		l := grant(t, holder, client.LeaseOptions{})
		r.EndLease(t, l.Owner())
		if _, _, err := other.Lookup(t.Context(), payments.Key, client.Read{}); !errors.Is(err, client.ErrNotFound) {
			t.Fatalf("round %d: Lookup() = %v; want ErrNotFound", round, err)
		}
		if _, _, err := other.LeaseGet(t.Context(), l.Owner(), client.Read{}); !errors.Is(err, client.ErrNotFound) {
			t.Fatalf("round %d: LeaseGet() = %v; want ErrNotFound", round, err)
		}
		const subject = bus.DefaultPrefix + ".event.default.payments.i-1"
		want := []happening{{"registered", "", subject}, {"expired", "expired", subject}}
		if diff := cmp.Diff(want, []happening{next(t, heard), next(t, heard)}, cmp.AllowUnexported(happening{})); diff != "" {
			t.Fatalf("round %d: events (-want +got):\n%s", round, diff)
		}
	}
}

func TestWhatOneClientHasWrittenAnotherReadsAtOnce(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	ctx, writer, reader := t.Context(), r.Client(t), r.Client(t)
	shows := func(key client.Key, made client.Revision, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := reader.Lookup(ctx, key, client.Read{}); err != nil || got.Revision != made {
			t.Fatalf("Lookup() = revision %d, %v; want %d", got.Revision, err, made)
		}
	}
	other := payments
	other.Instance = "i-2"
	for weight := range uint16(50) {
		made, _, err := writer.Register(ctx, payments, client.Write{})
		shows(payments.Key, made.Revision, err)
		made, _, err = writer.Update(ctx, payments.Key, client.Change{Weight: &weight}, client.Write{})
		shows(payments.Key, made.Revision, err)
		_, stamp, err := writer.Batch(ctx, []client.Operation{{Kind: client.OpRegister, Registration: other}}, true)
		shows(other.Key, stamp.Revision, err)
		for _, key := range []client.Key{payments.Key, other.Key} {
			if _, _, err := writer.Unregister(ctx, key, client.Write{}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := reader.Lookup(ctx, key, client.Read{}); !errors.Is(err, client.ErrNotFound) {
				t.Fatalf("Lookup() = %v; want ErrNotFound", err)
			}
		}
	}
}

func TestASessionWhoseLeaseIsEndedComesBackUnderAnother(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	c := r.Client(t)
	renewed := make(chan client.Renewal, 1)
	s, err := c.NewSession(t.Context(), client.SessionOptions{
		Lease:     client.LeaseOptions{TTL: time.Second},
		OnRenewed: func(n client.Renewal) { renewed <- n },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Register(t.Context(), payments, client.Write{}); err != nil {
		t.Fatal(err)
	}
	old := s.Lease().Owner()
	r.EndLease(t, old)
	n := next(t, renewed)
	if n.Old != old || n.New == old || !errors.Is(n.Cause, client.ErrLeaseExpired) || n.Err != nil {
		t.Errorf("renewal %+v", n)
	}
	found, _, err := c.Lookup(t.Context(), payments.Key, client.Read{})
	if err != nil || found.Owner != n.New {
		t.Errorf("Lookup() = %q, %v; want %q", found.Owner, err, n.New)
	}
}

func TestAClosedConnectionEndsALeaseWithinItsGrace(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	heard := listen(t, r)
	c := r.Client(t)
	grace := 50 * time.Millisecond
	grant(t, c, client.LeaseOptions{TTL: time.Hour, Grace: &grace})
	if got := next(t, heard); got.kind != "registered" {
		t.Errorf("first event %v", got)
	}
	_ = c.Close()
	if got := next(t, heard); got.kind != "expired" || got.reason != "closed" {
		t.Errorf("second event %v", got)
	}
}

func TestALeaseThatIsNotThereCannotBeEnded(t *testing.T) {
	t.Parallel()
	got := record(func(tb *recorder) {
		bustest.Start(tb).EndLease(tb, bus.Owner("a-secret-of-nobody-0001"))
	})
	if got.ended || !strings.Contains(got.failure, "not found") {
		t.Errorf("failure %q, ended %v", got.failure, got.ended)
	}
}

func TestAStoppedRegistryIsAwayAndComesBackWithEverything(t *testing.T) {
	t.Parallel()
	r := bustest.Start(t)
	at := r.URL()
	c := r.Client(t, client.WithReadTimeout(300*time.Millisecond))
	l := grant(t, c, client.LeaseOptions{TTL: time.Second})
	heard := listen(t, r)
	for range 2 {
		r.Stop(t)
		r.Stop(t)
		if _, _, err := c.Lookup(t.Context(), payments.Key, client.Read{}); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("Lookup() of a stopped registry = %v; want ErrUnavailable", err)
		}
		if nc, err := nats.Connect(at); err == nil {
			nc.Close()
			t.Error("NATS goes on")
		}
		<-time.After(1500 * time.Millisecond) // longer than the TTL
		r.Restart(t)
		r.Restart(t)
		if r.URL() != at {
			t.Errorf("at %s after a restart, at %s before", r.URL(), at)
		}
		eventually(t, func() error {
			found, _, err := c.Lookup(t.Context(), payments.Key, client.Read{})
			if err == nil && found.Owner != l.Owner() {
				t.Errorf("owner %q; want %q", found.Owner, l.Owner())
			}
			return err
		})
		eventually(t, func() error {
			if !l.Valid() {
				return errors.New("the lease is not valid")
			}
			return nil
		})
	}
	if err := l.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := next(t, heard); got.reason != "revoked" {
		t.Errorf("the first event after the registry was away is %v", got)
	}
}

func TestRegistriesShareNothing(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := bustest.Start(t)
			c := r.Client(t)
			mine := payments
			mine.Instance = fmt.Sprint(i)
			if _, _, err := c.Register(t.Context(), mine, client.Write{}); err != nil {
				t.Fatal(err)
			}
			page, _, err := c.List(t.Context(), client.Query{})
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Registrations) != 1 || page.Registrations[0].Instance != mine.Instance {
				t.Errorf("listed %v; want %q alone", page.Registrations, mine.Instance)
			}
		})
	}
}

func TestNothingIsLeftWhenTheTestIsOver(t *testing.T) {
	t.Parallel()
	var at *url.URL
	var dir string
	t.Run("", func(t *testing.T) {
		r := bustest.Start(t)
		grant(t, r.Client(t), client.LeaseOptions{})
		at, _ = url.Parse(r.URL())
		dir = t.TempDir() + "/.."
	})
	if nc, err := net.Dial("tcp", at.Host); err == nil {
		_ = nc.Close()
		t.Errorf("somebody listens at %s", at)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
}

func TestTheRegistryAnswersUnderItsPrefixAndLogs(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	t.Run("", func(t *testing.T) {
		r := bustest.Start(t, bustest.WithPrefix("shop.v1"), bustest.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if r.Prefix() != "shop.v1" {
			t.Errorf("prefix %q", r.Prefix())
		}
		if _, _, err := r.Client(t).Register(t.Context(), payments, client.Write{}); err != nil {
			t.Error(err)
		}
		if _, err := r.Connect(t).Request(bus.DefaultPrefix+".registry.list", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("under another prefix: %v; want no responders", err)
		}
	})
	if !strings.Contains(log.String(), "bucket made") {
		t.Errorf("the log is %q", log.String())
	}
}

func TestAWrongPrefixFailsTheTest(t *testing.T) {
	t.Parallel()
	got := record(func(tb *recorder) { bustest.Start(tb, bustest.WithPrefix("a b")) })
	if got.ended || !strings.Contains(got.failure, "prefix") {
		t.Errorf("failure %q, ended %v", got.failure, got.ended)
	}
}

// BenchmarkStart is what a test pays for a registry, but for its end.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		r := &recorder{}
		bustest.Start(r)
		b.StopTimer()
		r.clean()
		b.StartTimer()
	}
}
