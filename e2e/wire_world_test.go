package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/e2e/natstest"
)

// wireWorld is a registry on a NATS server in process, and one who sends it raw messages.
type wireWorld struct {
	ns   *natstest.Server
	s    *server.Server
	nc   *nats.Conn               // the one who sends
	stop func(t testing.TB) error // ends Run and returns what it returned
}

// wireNATS starts a NATS server. maxPayload 0 stands for NATS's own default.
func wireNATS(t testing.TB, maxPayload int32) *natstest.Server {
	t.Helper()
	return natstest.Start(t, natstest.NoJetStream, natstest.Listen, func(o *natsserver.Options) { o.MaxPayload = maxPayload })
}

// inProcess connects as a registry does that runs beside its NATS server.
func inProcess(t testing.TB, ns *natstest.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// serveWire serves b on a new NATS server. adjust, if not nil, changes the settings.
func serveWire(t testing.TB, b backend.Backend, maxPayload int32, adjust func(*server.Config), opts ...server.Option) *wireWorld {
	t.Helper()
	return serveWireOn(t, wireNATS(t, maxPayload), b, adjust, opts...)
}

// serveWireOn is serveWire on a NATS server that runs.
func serveWireOn(t testing.TB, ns *natstest.Server, b backend.Backend, adjust func(*server.Config), opts ...server.Option) *wireWorld {
	t.Helper()
	cfg := server.DefaultConfig()
	if adjust != nil {
		adjust(&cfg)
	}
	s, err := server.New(inProcess(t, ns), b, cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w := &wireWorld{ns: ns, s: s, nc: ns.Connect(t)}
	w.stop = func(t testing.TB) error {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(20 * time.Second):
			t.Fatal("Run does not end")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := w.stop(t); err != nil && !strings.Contains(err.Error(), "did not end") {
			t.Errorf("Run: %v", err)
		}
	})
	ready, end := context.WithTimeout(context.Background(), 10*time.Second)
	defer end()
	if err := s.Ready(ready); err != nil {
		t.Fatal(err)
	}
	return w
}

// ask sends a request under the prefix, with pairs of header names and values, and
// returns the reply.
func (w *wireWorld) ask(t testing.TB, subject, body string, headers ...string) *nats.Msg {
	t.Helper()
	m := nats.NewMsg(bus.DefaultPrefix + "." + subject)
	m.Data = []byte(body)
	for i := 0; i < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	reply, err := w.nc.RequestMsg(m, 10*time.Second)
	if err != nil {
		t.Fatalf("%s %s: %v", subject, body, err)
	}
	// A keepalive changes nothing that has a revision.
	if reply.Header.Get("Roost-Revision") == "" && subject != "lease.keepalive" || reply.Header.Get("Roost-Epoch") == "" {
		t.Errorf("%s %s: reply without revision or epoch: %v", subject, body, reply.Header)
	}
	return reply
}

// must is ask for a request that has to succeed; its body is decoded into v.
func (w *wireWorld) must(t testing.TB, v any, subject, body string, headers ...string) *nats.Msg {
	t.Helper()
	reply := w.ask(t, subject, body, headers...)
	if code := reply.Header.Get("Nats-Service-Error-Code"); code != "" {
		t.Fatalf("%s %s: %s %s", subject, body, code, reply.Data)
	}
	if v != nil {
		if err := json.Unmarshal(reply.Data, v); err != nil {
			t.Fatalf("%s %s: %s: %v", subject, body, reply.Data, err)
		}
	}
	return reply
}

// fail is ask for a request that has to fail with code.
func (w *wireWorld) fail(t testing.TB, code bus.Code, subject, body string, headers ...string) *bus.Error {
	t.Helper()
	return wantFailure(t, code, w.ask(t, subject, body, headers...))
}

func wantFailure(t testing.TB, code bus.Code, reply *nats.Msg) *bus.Error {
	t.Helper()
	e := bus.ParseError(reply.Header.Get("Nats-Service-Error-Code"), reply.Header.Get("Nats-Service-Error"), reply.Data)
	numbers := map[bus.Code]string{
		"invalid": "400", "not_owner": "403", "not_found": "404", "already_exists": "409", "lease_expired": "410",
		"conflict": "412", "too_large": "413", "compacted": "416", "limit_exceeded": "429", "internal": "500",
		"unavailable": "503", "timeout": "504", "unknown_outcome": "520",
	}
	if e.Code != code {
		t.Errorf("got %s %s; want %s", e.Code, reply.Data, code)
	}
	if got := reply.Header.Get("Nats-Service-Error-Code"); got != numbers[code] {
		t.Errorf("%s has number %q; want %s", code, got, numbers[code])
	}
	if got := reply.Header.Get("Nats-Service-Error"); !strings.HasPrefix(got, string(code)+": ") {
		t.Errorf("%s has the text %q", code, got)
	}
	return e
}

// wiretap is a Backend whose look-ups and registers can be made to do something else.
type wiretap struct {
	backend.Backend
	lookup   func(context.Context, backend.Key) error // if it returns an error, that is the answer
	register func(context.Context, backend.Key) error
}

func (b *wiretap) Lookup(ctx context.Context, key backend.Key, read backend.Read) (backend.Registration, backend.Stamp, error) {
	if b.lookup != nil {
		if err := b.lookup(ctx, key); err != nil {
			return backend.Registration{}, backend.Stamp{}, err
		}
	}
	return b.Backend.Lookup(ctx, key, read)
}

func (b *wiretap) Register(ctx context.Context, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp, error) {
	if b.register != nil {
		if err := b.register(ctx, r.Key); err != nil {
			return backend.Registration{}, backend.Stamp{}, err
		}
	}
	return b.Backend.Register(ctx, r, w)
}

var errSecret = errors.New("dial 10.9.8.7: hunter2")
