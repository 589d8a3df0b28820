package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// script is a link whose every sending meets a fate that the test has written down; the
// last one stays.
type script struct {
	fates []func(ctx context.Context, m *nats.Msg) (*nats.Msg, error)

	mu        sync.Mutex
	sent      []sending
	away      bool // there is no connection
	lost      uint64
	listeners map[chan nats.Status]bool
}

type sending struct {
	msg *nats.Msg
	at  time.Time
}

func (s *script) RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	s.mu.Lock()
	fate := s.fates[min(len(s.sent), len(s.fates)-1)]
	s.sent = append(s.sent, sending{m, time.Now()})
	s.mu.Unlock()
	return fate(ctx, m)
}

func (s *script) Status() nats.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nats.RECONNECTING
	}
	return nats.CONNECTED
}

//nolint:revive // nats.go spells it so
func (s *script) ConnectedServerId() string { return "S" }

func (s *script) GetClientID() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 1 + s.lost, nil
}

func (s *script) StatusChanged(...nats.Status) chan nats.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := make(chan nats.Status, 10)
	if s.listeners == nil {
		s.listeners = map[chan nats.Status]bool{}
	}
	s.listeners[ch] = true
	return ch
}

func (s *script) RemoveStatusListener(ch chan nats.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ch)
	close(ch)
}

// cut loses the connection, and restores it after a while.
func (s *script) cut(restored time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.lost = true, s.lost+1
	time.AfterFunc(restored, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.away = false
		for ch := range s.listeners {
			ch <- nats.CONNECTED
		}
	})
}
func (s *script) MaxPayload() int64 { return 1 << 20 }

//nolint:revive // nats.go spells it so
func (s *script) ConnectedUrlRedacted() string { return "nats://test" }

func (s *script) requests() []sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// The fates of a sending.

func unheard(context.Context, *nats.Msg) (*nats.Msg, error) { return nil, nats.ErrNoResponders }

func silence(ctx context.Context, _ *nats.Msg) (*nats.Msg, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func reply(revision, epoch, body string) func(context.Context, *nats.Msg) (*nats.Msg, error) {
	return func(context.Context, *nats.Msg) (*nats.Msg, error) {
		return &nats.Msg{Data: []byte(body), Header: nats.Header{
			bus.HeaderRevision: {revision}, bus.HeaderEpoch: {epoch},
		}}, nil
	}
}

func failure(code bus.Code, epoch string) func(context.Context, *nats.Msg) (*nats.Msg, error) {
	return func(context.Context, *nats.Msg) (*nats.Msg, error) {
		body, err := encode(&bus.Error{Code: code, Message: "said the registry"})
		return &nats.Msg{Data: body, Header: nats.Header{
			bus.HeaderErrorCode: {"1"}, bus.HeaderError: {string(code)}, bus.HeaderEpoch: {epoch},
		}}, err
	}
}

const stored = `{"namespace":"default","service":"payments","instance":"i-1","metadata":{"a":"<&>"},"revision":7}`

var key = Key{Namespace: "default", Service: "payments", Instance: "i-1"}

// scripted returns a client whose sendings meet fates.
func scripted(t *testing.T, fates ...func(context.Context, *nats.Msg) (*nats.Msg, error)) (*Client, *script) {
	t.Helper()
	o, err := newOptions(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{fates: fates}
	c.link, c.line = s, s
	return c, s
}

func register(ctx context.Context, c *Client) error {
	_, _, err := c.Register(ctx, Registration{Key: key, Metadata: `{"a":"<&>"}`}, Write{})
	return err
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v; want %v", got, want)
	}
}

// matchesOnly checks that err says nothing certain when its outcome is unknown.
func wantUnknown(t *testing.T, err error) {
	t.Helper()
	wantErr(t, err, ErrUnknownOutcome)
	for _, certain := range []error{ErrUnavailable, ErrConflict, ErrExists, ErrNotFound, ErrNotOwner, ErrLeaseExpired} {
		if errors.Is(err, certain) {
			t.Errorf("%v matches %v, which would be certain", err, certain)
		}
	}
	if backend.Certain(err) {
		t.Errorf("%v counts as certain", err)
	}
}

func disconnected(context.Context, *nats.Msg) (*nats.Msg, error) { return nil, nats.ErrDisconnected }

func fails(e *bus.Error) func(context.Context, *nats.Msg) (*nats.Msg, error) {
	return func(context.Context, *nats.Msg) (*nats.Msg, error) {
		body, err := encode(e)
		return &nats.Msg{Data: body, Header: nats.Header{bus.HeaderErrorCode: {"1"}, bus.HeaderEpoch: {"1"}}}, err
	}
}
