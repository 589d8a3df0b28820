package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
)

// everyone is a Liveness in which every owner lives.
type everyone struct{}

func (everyone) Lives(string) bool                             { return true }
func (everyone) Confirm(context.Context, string) (bool, error) { return true, nil }
func (everyone) OnEnd(func(backend.Ending)) func()             { return func() {} }

const (
	leaseA = "pTqkZ4mB7sUe1Xh0aWc9Rg"
	leaseB = "BBBkZ4mB7sUe1Xh0aWc9Rg"
)

func TestRawRequestsFailWithTheCodesOfTheProtocol(t *testing.T) {
	t.Parallel()
	w := serveWire(t, wireBackend(t, everyone{}), 0, nil)
	w.must(t, nil, "registry.register.default.owned.i", `{"lease":"`+leaseA+`","metadata":{"x":1}}`)
	w.must(t, nil, "registry.register.default.free.i", `{}`)

	w.fail(t, bus.CodeNotFound, "registry.lookup.default.none.i", "")
	w.fail(t, bus.CodeNotFound, "registry.update.default.none.i", "{}")
	for _, lease := range []string{"", `"lease":"` + leaseB + `"`} {
		e := w.fail(t, bus.CodeExists, "registry.register.default.owned.i", "{"+lease+"}")
		if e.Holder == nil || e.Holder.Owner != bus.Owner(leaseA) || e.Holder.Metadata != `{"x":1}` {
			t.Errorf("holder %+v; want the registration", e.Holder)
		}
		for _, verb := range []string{"update", "unregister"} {
			if e := w.fail(t, bus.CodeNotOwner, "registry."+verb+".default.owned.i", "{"+lease+"}"); e.Owner != bus.Owner(leaseA) {
				t.Errorf("%s: owner %q; want %q", verb, e.Owner, bus.Owner(leaseA))
			}
		}
	}
	e := w.fail(t, bus.CodeConflict, "registry.update.default.free.i", `{"if_revision":1}`)
	if e.Revision == nil || *e.Revision != 2 {
		t.Errorf("conflict at revision %v; want 2", e.Revision)
	}
	e = w.fail(t, bus.CodeConflict, "registry.unregister.default.none.i", `{"if_revision":7}`)
	if e.Revision == nil || *e.Revision != 0 {
		t.Errorf("conflict at revision %v; want 0", e.Revision)
	}
	w.fail(t, bus.CodeConflict, "registry.update.default.free.i", `{"if_revision":2,"weight":1}`, "Roost-Epoch", "4")
	w.fail(t, bus.CodeCompacted, "registry.lookup.default.free.i", `{"min_revision":1}`, "Roost-Epoch", "4")
	w.must(t, nil, "registry.lookup.default.free.i", `{"min_revision":1,"consistency":"linearizable","max_age_ms":0}`, "Roost-Epoch", "5")
}

func TestARawRequestWithALeaseIsLeaseExpiredUntilThereAreLeases(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	for _, verb := range []string{"register", "update", "unregister"} {
		w.fail(t, bus.CodeLeaseExpired, "registry."+verb+".default.a.i", `{"lease":"`+leaseA+`"}`)
		e := w.fail(t, bus.CodeInvalid, "registry."+verb+".default.a.i", `{"lease":"too-short"}`)
		if e.Field != "lease" || strings.Contains(e.Message, "too-short") {
			t.Errorf("%s: the error is about %q: %s", verb, e.Field, e.Message)
		}
	}
}

func TestRawRequestsThatAreMalformedAreInvalidAndNameTheField(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	deep := strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9)
	var many strings.Builder
	for i := range 33 {
		fmt.Fprintf(&many, `,"e%d":"x"`, i)
	}
	const key = "registry.register.default.a.i"
	for _, c := range []struct{ subject, body, field string }{
		{"registry.register.default.a.=2e", "", "instance"},
		{"registry.register._x.a.i", "", "namespace"},
		{"registry.register.default._.i", "", "service"},
		{"registry.lookup.default." + strings.Repeat("a", 129) + ".i", "", "service"},
		{"registry.list.=41", "", "namespace"},
		{"registry.count.a._b", "", "service"},
		{"registry.services._a", "", "namespace"},
		{"registry.batch.a=2e", "", "namespace"},
		{"admin.unregister.a.b.=", "", "instance"},
		{key, `{"surprise":1}`, "surprise"},
		{key, `{"weight":1,"weight":2}`, "weight"},
		{key, `{} {}`, "body"},
		{key, `{"namespace":"other"}`, "namespace"},
		{key, `{"service":"other"}`, "service"},
		{key, `{"instance":""}`, "instance"},
		{key, `{"metadata":` + deep + `}`, "metadata.a.a.a.a.a.a.a.a"},
		{key, `{"endpoints":{` + many.String()[1:] + `}}`, "endpoints"},
		{key, `{"merge_metadata":{}}`, "merge_metadata"},
		{"registry.update.default.a.i", `{"metadata":{},"merge_metadata":{}}`, "merge_metadata"},
		{"registry.unregister.default.a.i", `{"reason":"a\nb"}`, "reason"},
		{"registry.list", `{"namespace":"a"}`, "namespace"},
		{"registry.list.a", `{"service":"x"}`, "service"},
		{"registry.list", `{"limit":0}`, "limit"},
		{"registry.list", `{"limit":10001}`, "limit"},
		{"registry.list", `{"after":"!"}`, "after"},
		{"registry.list", `{"filter":"weight >"}`, "filter"},
		{"registry.list", `{"filter":"colour == 1"}`, "filter"},
		{"registry.list", `{"since":-1}`, "since"},
		{"registry.list", `{"since":null}`, "since"},
		{"registry.list", `{"wait_ms":1}`, "wait_ms"},
		{"registry.count", `{"since":1}`, "since"},
		{"registry.lookup.default.a.i", `{"wait_ms":-1}`, "wait_ms"},
		{"registry.lookup.default.a.i", `{"wait_ms":86400001}`, "wait_ms"},
		{"registry.lookup.default.a.i", `{"consistency":"strong"}`, "consistency"},
		{"registry.lookup.default.a.i", `{"max_age_ms":-1}`, "max_age_ms"},
		{"registry.services", `{"limit":-1}`, "limit"},
	} {
		if e := w.fail(t, bus.CodeInvalid, c.subject, c.body); e.Field != c.field {
			t.Errorf("%s %.80s: the error is about %q (%s); want %q", c.subject, c.body, e.Field, e.Message, c.field)
		}
	}
	for _, c := range []struct{ header, value string }{
		{"Roost-Timeout-Ms", "0"},
		{"Roost-Timeout-Ms", "-1"},
		{"Roost-Timeout-Ms", "1.5"},
		{"Roost-Timeout-Ms", "soon"},
		{"Roost-Timeout-Ms", "86401001"},
		{"Roost-Epoch", "x"},
		{"Roost-Epoch", "4294967296"},
		{"Roost-Request-Id", strings.Repeat("x", 65)},
		{"Roost-Request-Id", "a\x01b"},
	} {
		for _, subject := range []string{key, "registry.lookup.default.a.i", "registry.list"} {
			if e := w.fail(t, bus.CodeInvalid, subject, "", c.header, c.value); e.Field != c.header {
				t.Errorf("%s %s: the error is about %q; want the header", c.header, c.value, e.Field)
			}
		}
	}
	w.must(t, nil, key, "", "Roost-Request-Id", strings.Repeat("é", 64), "Roost-Timeout-Ms", "86401000")
}

func TestAFailureBeforeAnyAnswerSaysHowFarTheNodeHasCome(t *testing.T) {
	t.Parallel()
	b := wireBackend(t, backend.Nobody)
	key := backend.Key{Namespace: "default", Service: "a", Instance: "i"}
	if _, _, err := b.Register(t.Context(), backend.Registration{Key: key}, backend.Write{}); err != nil {
		t.Fatal(err)
	}
	w := serveWire(t, b, 0, nil)
	wantHeaders(t, w.ask(t, "registry.list", "{"), "1", "5", "")
}

func TestWhatIsTooLargeSaysTheLimit(t *testing.T) {
	t.Parallel()
	w := serveWire(t, wireBackend(t, backend.Nobody), 0, func(c *server.Config) { c.MaxRequest = 100_000 })
	const around = len(`{"endpoints":{},"metadata":{"a":""}}`)
	register := func(bytes int) string {
		return `{"metadata":{"a":"` + strings.Repeat("x", bytes-around) + `"}}`
	}
	w.must(t, nil, "registry.register.default.a.i", register(64<<10))
	for _, c := range []struct {
		subject, body, field string
		limit                int64
	}{
		{"registry.register.default.b.i", register(64<<10 + 1), "registration", 64 << 10},
		{"registry.update.default.a.i", `{"merge_metadata":{"b":1}}`, "registration", 64 << 10},
		{"registry.list", `{"filter":"` + strings.Repeat(" ", 4097) + `"}`, "filter", 4096},
		{"registry.list", strings.Repeat(" ", 100_001), "request", 100_000},
	} {
		e := w.fail(t, bus.CodeTooLarge, c.subject, c.body)
		if e.Field != c.field || e.Limit == nil || e.Limit.Bytes != c.limit {
			t.Errorf("%s: %s; want field %s, limit %d", c.subject, e.Message, c.field, c.limit)
		}
	}
}

func TestWhatABackendReturnsIsSentWithItsCode(t *testing.T) {
	t.Parallel()
	var answer atomic.Pointer[error]
	var log bytes.Buffer
	b := &wiretap{
		Backend:  wireBackend(t, backend.Nobody),
		lookup:   func(context.Context, backend.Key) error { return *answer.Load() },
		register: func(context.Context, backend.Key) error { return *answer.Load() },
	}
	w := serveWire(t, b, 0, nil, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for _, c := range []struct {
		err         error
		read, write bus.Code
	}{
		{backend.ErrTimeout, bus.CodeTimeout, bus.CodeTimeout},
		{backend.ErrClosed, bus.CodeUnavailable, bus.CodeUnavailable},
		{fmt.Errorf("ask: %w: %w", backend.ErrUnavailable, io.EOF), bus.CodeUnavailable, bus.CodeUnavailable},
		{fmt.Errorf("%w: %w", backend.ErrUnknownOutcome, backend.ErrUnavailable), bus.CodeUnknownOutcome, bus.CodeUnknownOutcome},
		{context.DeadlineExceeded, bus.CodeUnavailable, bus.CodeUnknownOutcome},
		{errSecret, bus.CodeInternal, bus.CodeInternal},
	} {
		answer.Store(&c.err)
		w.fail(t, c.read, "registry.lookup.default.a.i", "")
		e := w.fail(t, c.write, "registry.register.default.a.i", "")
		if errors.Is(c.err, errSecret) && e.Message != bus.ErrInternal.Error() {
			t.Errorf("the cause of an internal error was sent: %s", e.Message)
		}
	}
	if err := w.stop(t); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), errSecret.Error()) {
		t.Errorf("the cause of an internal error was not logged: %s", &log)
	}
}

func TestASubjectThatNobodyAnswersIsAbsent(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	for _, subject := range []string{
		"registry.watch.a.b.c", "registry.lookup.a.b", "registry.lookup.a.b.c.d", "registry.list.a.b.c", "registry.batch",
		"lease.grant", "lock.acquire.a.b", "registry.services.a.b",
	} {
		if _, err := w.nc.Request("roost.v1."+subject, nil, 0x7fffffff); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v; want no responders", subject, err)
		}
	}
}
