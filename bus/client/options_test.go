package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
)

func TestOptionsThatMakeNoSenseAreRefusedTogether(t *testing.T) {
	t.Parallel()
	_, err := client.Connect(t.Context(), "nats://127.0.0.1:1",
		client.WithReadTimeout(0), client.WithWriteTimeout(-time.Second), client.WithLogger(nil))
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range []string{"read timeout", "write timeout", "logger"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not tell of the %s", err, part)
		}
	}
}

func TestConnectToNobodySaysWhereAndHidesThePassword(t *testing.T) {
	t.Parallel()
	_, err := client.Connect(t.Context(), "nats://user:secret@127.0.0.1:1")
	if !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v; want unavailable", err)
	}
	if s := err.Error(); !strings.Contains(s, "127.0.0.1:1") || strings.Contains(s, "secret") {
		t.Errorf("got %q", s)
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Connect(ctx, "nats://127.0.0.1:1")
	if !errors.Is(err, client.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want unavailable and canceled", err)
	}
}

func TestNewNeedsAConnection(t *testing.T) {
	t.Parallel()
	if _, err := client.New(nil); err == nil {
		t.Error("got no error")
	}
}
