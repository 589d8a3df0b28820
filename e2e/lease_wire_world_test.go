package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// clockwork is a lease clock that does what a test says. Its leases live until the test ends
// them; whoever is in doubt is not answered by Touch.
type clockwork struct {
	mu      sync.Mutex
	live    map[string]clock.Status
	doubted map[string]bool
	touched []string
	told    map[string]clock.Connection
	reasons map[string]string // of the ended
	ending  map[string]bool   // as List looks at them
	asked   clock.Request     // the last grant

	// What is called before the answer is given; an error is the answer.
	touch, keepalive, grant, revoke, get, list func(context.Context) error
}

func newClockwork() *clockwork {
	return &clockwork{
		live: map[string]clock.Status{}, doubted: map[string]bool{}, told: map[string]clock.Connection{}, reasons: map[string]string{},
	}
}

var _ server.LeaseClock = (*clockwork)(nil)

const term = 7

// hold has change change l while nobody else does, or look at it.
func (l *clockwork) hold(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// pass calls what is to be called before an answer.
func (l *clockwork) pass(ctx context.Context, hook *func(context.Context) error) error {
	l.mu.Lock()
	f := *hook
	l.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx)
}

func (l *clockwork) beat(owner string) (clock.Beat, bool) {
	s, ok := l.live[owner]
	return clock.Beat{TTL: s.TTL, Grace: 2 * time.Second, Term: term}, ok
}

func (l *clockwork) TouchAll(owners [][]byte, c clock.Connection) (beat clock.Beat, all bool) {
	all = true
	for _, owner := range owners {
		b, ok := l.Touch(string(owner), c)
		if ok {
			beat = b
		}
		all = all && ok
	}
	return beat, all
}

func (l *clockwork) Touch(owner string, c clock.Connection) (clock.Beat, bool) {
	if l.pass(context.Background(), &l.touch) != nil {
		return clock.Beat{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.touched = append(l.touched, owner)
	l.told[owner] = c
	beat, ok := l.beat(owner)
	return beat, ok && !l.doubted[owner]
}

func (l *clockwork) Keepalive(ctx context.Context, owners []string, c clock.Connection) (beat clock.Beat, expired []int, err error) {
	if err := l.pass(ctx, &l.keepalive); err != nil {
		return clock.Beat{}, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	beat.Term = term
	for i, owner := range owners {
		l.told[owner] = c
		if b, ok := l.beat(owner); ok {
			beat = b
		} else {
			expired = append(expired, i)
		}
	}
	return beat, expired, nil
}

func (l *clockwork) Grant(ctx context.Context, r clock.Request) (clock.Beat, error) {
	if err := l.pass(ctx, &l.grant); err != nil {
		return clock.Beat{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = r
	l.live[r.Owner] = clock.Status{
		Owner: r.Owner, Name: r.Name, TTL: r.TTL, Remaining: r.TTL, State: clock.Live,
		GrantedAt: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
	}
	return clock.Beat{TTL: r.TTL, Grace: r.Grace, Term: term}, nil
}

func (l *clockwork) Revoke(ctx context.Context, owner, reason string) (uint64, error) {
	if err := l.pass(ctx, &l.revoke); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.live[owner]; !ok {
		return 0, backend.ErrLeaseExpired
	}
	delete(l.live, owner)
	l.reasons[owner] = reason
	return 99, nil
}

func (l *clockwork) Get(ctx context.Context, owner string) (clock.Status, error) {
	if err := l.pass(ctx, &l.get); err != nil {
		return clock.Status{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.live[owner]
	if !ok {
		return s, fmt.Errorf("lease of %s: %w", owner, backend.ErrNotFound)
	}
	return s, nil
}

func (l *clockwork) List(ctx context.Context, after string, limit int) ([]clock.Status, error) {
	if err := l.pass(ctx, &l.list); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []clock.Status
	for owner, s := range l.live {
		if owner > after {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b clock.Status) int { return strings.Compare(a.Owner, b.Owner) })
	all = all[:min(len(all), limit)]
	return slices.DeleteFunc(all, func(s clock.Status) bool { return l.ending[s.Owner] }), nil
}

// grantTo has leases of secrets live.
func (l *clockwork) grantTo(secrets ...string) {
	for _, s := range secrets {
		_, _ = l.Grant(context.Background(), clock.Request{Owner: bus.Owner(s), TTL: 15 * time.Second})
	}
}

// leaseWire is what answers requests of leases on a NATS server, and one who sends them.
type leaseWire struct {
	*wireWorld
	clockwork *clockwork
	leases    *server.Leases
}

// serveLeases opens for leases. adjust, if not nil, changes the settings.
func serveLeases(t testing.TB, adjust func(*server.Config), opts ...server.Option) *leaseWire {
	t.Helper()
	return serveLeasesWith(t, 0, adjust, opts...)
}

func serveLeasesWith(t testing.TB, maxPayload int32, adjust func(*server.Config), opts ...server.Option) *leaseWire {
	t.Helper()
	ns := wireNATS(t, maxPayload)
	cfg := server.DefaultConfig()
	if adjust != nil {
		adjust(&cfg)
	}
	b := memory.New(backend.Nobody, memory.WithEpoch(5))
	t.Cleanup(func() { b.Close() })
	l, err := server.NewLeases(inProcess(t, ns), b, cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	w := &leaseWire{wireWorld: &wireWorld{ns: ns, nc: ns.Connect(t)}, clockwork: newClockwork(), leases: l}
	if err := l.OpenTo(t.Context(), w.clockwork); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return w
}

// secretOf returns secrets that are well-formed and differ.
func secretOf(i int) string { return fmt.Sprintf("secret-%020d", i) }

// What the clock was told, and tells.

func (w *leaseWire) asked() (r clock.Request) {
	w.clockwork.hold(func() { r = w.clockwork.asked })
	return r
}

func (w *leaseWire) heard() (n int) {
	w.clockwork.hold(func() { n = len(w.clockwork.touched) })
	return n
}

func (w *leaseWire) reason(owner string) (reason string) {
	w.clockwork.hold(func() { reason = w.clockwork.reasons[owner] })
	return reason
}

func (w *leaseWire) doubt(secret string) {
	w.clockwork.hold(func() { w.clockwork.doubted[bus.Owner(secret)] = true })
}
