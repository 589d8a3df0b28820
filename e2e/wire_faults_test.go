package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
)

// gate holds up what passes through it until it is opened.
type gate struct {
	entered chan struct{} // one for each that is held up
	open    chan struct{}
	once    sync.Once
}

func newGate() *gate { return &gate{entered: make(chan struct{}, 10_000), open: make(chan struct{})} }

func (g *gate) Open() { g.once.Do(func() { close(g.open) }) }

// pass waits for the gate or for ctx.
func (g *gate) pass(ctx context.Context) error {
	g.entered <- struct{}{}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("held up: %w: %w", backend.ErrUnavailable, context.Cause(ctx))
	}
}

// slowWire serves a registry in which requests about the service "slow" pass a gate.
func slowWire(t *testing.T, adjust func(*server.Config)) (*wireWorld, *gate) {
	t.Helper()
	g := newGate()
	hold := func(ctx context.Context, key backend.Key) error {
		if key.Service == "slow" {
			return g.pass(ctx)
		}
		return nil
	}
	w := serveWire(t, &wiretap{Backend: wireBackend(t, backend.Nobody), lookup: hold, register: hold}, 0, adjust)
	t.Cleanup(g.Open) // before the server drains
	return w, g
}

// later sends a request and returns its reply when it comes.
func (w *wireWorld) later(t *testing.T, subject, body string) <-chan *nats.Msg {
	t.Helper()
	replies := make(chan *nats.Msg, 1)
	inbox := w.nc.NewInbox()
	if _, err := w.nc.Subscribe(inbox, func(m *nats.Msg) { replies <- m }); err != nil {
		t.Fatal(err)
	}
	if err := w.nc.PublishRequest(bus.DefaultPrefix+"."+subject, inbox, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return replies
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: nothing for 10s", what)
		panic("not reached")
	}
}

func TestASlowRequestHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w, g := slowWire(t, nil)
	const slow = 100
	var replies []<-chan *nats.Msg
	for range slow {
		replies = append(replies, w.later(t, "registry.register.default.slow.i", "{}"), w.later(t, "registry.lookup.default.slow.i", ""))
	}
	for range 2 * slow {
		receive(t, "slow requests in hand", g.entered)
	}
	w.must(t, nil, "registry.register.default.fast.i", "{}")
	w.must(t, nil, "registry.lookup.default.fast.i", "")
	w.must(t, nil, "registry.list", "")
	var health bus.HealthReply
	if w.must(t, &health, "registry.health", ""); health.Requests.InFlight < 2*slow {
		t.Errorf("health says %d in flight; want %d at least", health.Requests.InFlight, 2*slow)
	}
	g.Open()
	for _, reply := range replies {
		receive(t, "reply to a slow request", reply)
	}
}

func TestRequestsBeyondTheLimitAreRefusedAtOnceAndHealthIsAnswered(t *testing.T) {
	t.Parallel()
	w, g := slowWire(t, func(c *server.Config) { c.MaxInFlight = 3 })
	var replies []<-chan *nats.Msg
	for range 3 {
		replies = append(replies, w.later(t, "registry.register.default.slow.i", "{}"))
		receive(t, "slow request in hand", g.entered)
	}
	for _, subject := range []string{"registry.register.default.fast.i", "registry.lookup.default.fast.i", "registry.list"} {
		// The one who asks is who asked for the others, who has no share left.
		e := wantFailure(t, bus.CodeLimitExceeded, receive(t, "refusal", w.later(t, subject, "")))
		if e.Limit == nil || e.Limit.Quota != "requests" || e.Max != 3 {
			t.Errorf("%s: limit %+v of %d; want requests, 3", subject, e.Limit, e.Max)
		}
	}
	var health bus.HealthReply
	if w.must(t, &health, "registry.health", ""); health.Requests.Refused != 3 || health.Requests.Limit != 3 {
		t.Errorf("health says %+v; want 3 refused of 3", health.Requests)
	}
	g.Open()
	for _, reply := range replies {
		receive(t, "reply to a slow request", reply)
	}
	w.must(t, nil, "registry.register.default.fast.i", "")
}

func TestAPanicIsAnInternalErrorAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var panicked atomic.Int64
	b := &wiretap{Backend: wireBackend(t, backend.Nobody), lookup: func(_ context.Context, key backend.Key) error {
		if key.Service == "bad" {
			panic("secret of the panic")
		}
		return nil
	}}
	for _, of := range []backend.Backend{b, promptly{b}} {
		w := serveWire(t, of, 0, nil, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
			server.WithObserver(&server.Observer{Panicked: func(endpoint string, _ any) {
				if endpoint == "lookup" {
					panicked.Add(1)
				}
			}}))
		e := w.fail(t, bus.CodeInternal, "registry.lookup.default.bad.i", "")
		if strings.Contains(e.Message, "secret") {
			t.Errorf("the panic was sent: %s", e.Message)
		}
		w.fail(t, bus.CodeNotFound, "registry.lookup.default.good.i", "")
		if err := w.stop(t); err != nil {
			t.Fatal(err)
		}
	}
	if s := log.String(); strings.Count(s, "secret of the panic") != 2 || !strings.Contains(s, "wire_faults_test.go") {
		t.Errorf("the log has not both panics with their stacks:\n%s", s)
	}
	if panicked.Load() != 2 {
		t.Errorf("the observer saw %d panics; want 2", panicked.Load())
	}
}

func TestARequestIsHeldNoLongerThanItAsks(t *testing.T) {
	t.Parallel()
	w, _ := slowWire(t, func(c *server.Config) { c.DefaultTimeout = 300 * time.Millisecond })
	for _, headers := range [][]string{nil, {"Roost-Timeout-Ms", "50"}} {
		begun := time.Now()
		w.fail(t, bus.CodeUnavailable, "registry.lookup.default.slow.i", "", headers...)
		w.fail(t, bus.CodeUnavailable, "registry.register.default.slow.i", "", headers...)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%v: two requests were held for %v", headers, took)
		}
	}
}

func TestARepeatUnderTheSameRequestIdGetsTheSameReply(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	id := []string{"Roost-Request-Id", "r-1"}
	for _, c := range []struct{ subject, body string }{
		{"registry.register.default.a.i", `{"if_revision":0}`},
		{"registry.update.default.a.i", `{"if_revision":1,"weight":5}`},
		{"registry.batch.default", `{"operations":[{"op":"update","service":"a","instance":"i","if_revision":2,"weight":6}]}`},
		{"registry.unregister.default.a.i", `{"if_revision":3}`},
	} {
		first := w.must(t, nil, c.subject, c.body, id...)
		again := w.must(t, nil, c.subject, c.body, id...)
		if !bytes.Equal(first.Data, again.Data) || first.Header.Get("Roost-Revision") != again.Header.Get("Roost-Revision") {
			t.Errorf("%s: first %s %v, again %s %v", c.subject, first.Data, first.Header, again.Data, again.Header)
		}
	}
	w.must(t, nil, "registry.register.default.a.i", `{"if_revision":0}`, id...)
	w.fail(t, bus.CodeConflict, "registry.register.default.a.i", `{"if_revision":0,"weight":1}`, id...)
}

func TestAClientThatVanishesDoesNotStopItsRequest(t *testing.T) {
	t.Parallel()
	w, g := slowWire(t, nil)
	gone := w.ns.Connect(t)
	if err := gone.PublishRequest("roost.v1.registry.register.default.slow.i", gone.NewInbox(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	receive(t, "request in hand", g.entered)
	gone.Close()
	g.Open()
	within(t, "the registration of the one who is gone", func() bool {
		return w.ask(t, "registry.lookup.default.slow.i", "").Header.Get("Nats-Service-Error-Code") == ""
	})
}

// within polls until done says so.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10s", what)
		}
	}
}

func TestNothingIsSentToAReplySubjectOfNATSOrOfTheRegistry(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	heard := make(chan *nats.Msg, 100)
	forbidden := []string{
		"$KV.roost_v1.event.default.a.i", "$JS.API.STREAM.PURGE.KV_roost_v1", "roost.v1.event.default.a.i", "roost.v1.beacon", "roost.v1",
	}
	for _, reply := range forbidden {
		if _, err := w.nc.ChanSubscribe(reply, heard); err != nil {
			t.Fatal(err)
		}
	}
	for _, reply := range forbidden {
		for _, subject := range []string{"registry.register.default.a.i", "registry.lookup.default.a.i", "registry.list", "registry.health", "registry.lookup._.a.i"} {
			if err := w.nc.PublishRequest("roost.v1."+subject, reply, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var health bus.HealthReply
	within(t, "all of them counted", func() bool {
		w.must(t, &health, "registry.health", "")
		return health.Requests.Misdirected == int64(5*len(forbidden))
	})
	select {
	case m := <-heard:
		t.Errorf("a reply was sent to %s: %s", m.Subject, m.Data)
	default:
	}
	if health.Registrations != 0 {
		t.Error("a register with a forbidden reply subject was carried out")
	}
}

func TestARegisterWithoutAReplySubjectIsCarriedOut(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	for _, subject := range []string{"registry.register.default.a.i", "registry.lookup.default.a.i", "registry.list", "registry.register.default._x.i"} {
		if err := w.nc.Publish("roost.v1."+subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the registration", func() bool {
		return w.ask(t, "registry.lookup.default.a.i", "").Header.Get("Nats-Service-Error-Code") == ""
	})
}

func TestDrainingFinishesWhatIsInHandAndThenAnswersNothing(t *testing.T) {
	t.Parallel()
	w, g := slowWire(t, nil)
	var replies []<-chan *nats.Msg
	const slow = 20
	for i := range slow {
		replies = append(replies, w.later(t, fmt.Sprintf("registry.register.default.slow.i-%d", i), "{}"))
	}
	for range slow {
		receive(t, "slow request in hand", g.entered)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.stop(t) }()
	within(t, "the subjects without a responder", func() bool {
		_, err := w.nc.Request("roost.v1.registry.health", nil, time.Second)
		return errors.Is(err, nats.ErrNoResponders)
	})
	select {
	case err := <-ended:
		t.Fatalf("Run ended with requests in hand: %v", err)
	default:
	}
	g.Open()
	for _, reply := range replies {
		if m := receive(t, "reply to a request in hand", reply); m.Header.Get("Nats-Service-Error-Code") != "" {
			t.Errorf("a request in hand failed: %s", m.Data)
		}
	}
	if err := receive(t, "the end of Run", ended); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestDrainingUnderLoadLosesNoRequest(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	var g sync.WaitGroup
	var answered atomic.Int64
	for range 16 {
		nc := w.ns.Connect(t)
		g.Go(func() {
			for {
				_, err := nc.Request("roost.v1.registry.list", nil, 10*time.Second)
				if errors.Is(err, nats.ErrNoResponders) {
					return
				}
				if err != nil {
					t.Errorf("a request got no reply: %v", err)
					return
				}
				answered.Add(1)
			}
		})
	}
	within(t, "some load", func() bool { return answered.Load() > 1000 })
	if err := w.stop(t); err != nil {
		t.Error(err)
	}
	g.Wait()
}

func TestDrainingCancelsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	w, g := slowWire(t, func(c *server.Config) { c.DrainTimeout = 50 * time.Millisecond })
	reply := w.later(t, "registry.lookup.default.slow.i", "")
	receive(t, "slow request in hand", g.entered)
	if err := w.stop(t); err != nil {
		t.Errorf("Run: %v", err)
	}
	wantFailure(t, bus.CodeUnavailable, receive(t, "reply", reply))
}

func TestRunEndsWithAnErrorWhenItsConnectionIsClosed(t *testing.T) {
	t.Parallel()
	ns := wireNATS(t, 0)
	nc := ns.Connect(t)
	s, err := server.New(nc, wireBackend(t, backend.Nobody), server.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if err := receive(t, "the end of Run", ended); err == nil {
		t.Error("Run returned nil although its context is not done")
	}
}

func TestRunCanBeStartedAgain(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	if err := w.stop(t); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.s.Run(ctx) }()
	within(t, "an answer", func() bool {
		_, err := w.nc.Request("roost.v1.registry.health", nil, time.Second)
		return err == nil
	})
	cancel()
	if err := receive(t, "the end of Run", ended); err != nil {
		t.Error(err)
	}
}

// promptly is a Backend that says of every look-up that it does not wait.
type promptly struct{ backend.Backend }

func (promptly) Prompt(backend.Read) bool { return true }
