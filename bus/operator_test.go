package bus_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// What operators ask for: switching, and what has happened.

func TestASwitchIsToWhereARegistryCanLie(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request bus.SwitchRequest
		field   string
	}{
		{bus.SwitchRequest{}, "backend"},
		{bus.SwitchRequest{Backend: "memory"}, "backend"},
		{bus.SwitchRequest{Backend: "hybrid"}, ""},
		{bus.SwitchRequest{Backend: "durable", Bucket: "roost_v2", DryRun: true}, ""},
		{bus.SwitchRequest{Bucket: strings.Repeat("b", 128)}, ""},
		{bus.SwitchRequest{Bucket: strings.Repeat("b", 129)}, "bucket"},
		{bus.SwitchRequest{Bucket: "a.b"}, "bucket"},
		{bus.SwitchRequest{NATSURL: "nats://nats-1:4222"}, ""},
		{bus.SwitchRequest{NATSURL: "nats-1"}, ""},
		{bus.SwitchRequest{NATSURL: "10.0.0.7:4222"}, ""},
		{bus.SwitchRequest{NATSURL: "tls://user:pass@nats-1:4222, nats://[::1]:4222"}, ""},
		{bus.SwitchRequest{NATSURL: "wss://nats-1/"}, ""},
		{bus.SwitchRequest{NATSURL: " "}, "nats_url"},
		{bus.SwitchRequest{NATSURL: "http://nats-1"}, "nats_url"},
		{bus.SwitchRequest{NATSURL: "nats://"}, "nats_url"},
		{bus.SwitchRequest{NATSURL: "nats://a,"}, "nats_url"},
		{bus.SwitchRequest{NATSURL: "a\nb"}, "nats_url"},
		{bus.SwitchRequest{NATSURL: "nats://a:b:c"}, "nats_url"},
		{bus.SwitchRequest{NATSURL: "nats://" + strings.Repeat("x", 2048)}, "nats_url"},
	} {
		wantInvalid(t, c.request, c.request.Validate(), c.field)
	}
	err := (&bus.SwitchRequest{NATSURL: "nats://user:hunter2@a:b:c"}).Validate()
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v; want an error without the password", err)
	}
}

func TestAPartOfTheHistoryIsNamedInFull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request bus.HistoryRequest
		field   string
	}{
		{bus.HistoryRequest{}, ""},
		{bus.HistoryRequest{Namespace: "default", Service: "a", Object: "lock", Limit: ptr(1000), After: 1<<53 - 1}, ""},
		{bus.HistoryRequest{Object: "all"}, ""},
		{bus.HistoryRequest{Object: "all", Namespace: "default"}, "object"},
		{bus.HistoryRequest{Object: "locks"}, "object"},
		{bus.HistoryRequest{Service: "a"}, "service"},
		{bus.HistoryRequest{Namespace: "_x"}, "namespace"},
		{bus.HistoryRequest{Limit: ptr(0)}, "limit"},
		{bus.HistoryRequest{Limit: ptr(1001)}, "limit"},
		{bus.HistoryRequest{After: 1 << 53}, "after"},
	} {
		wantInvalid(t, c.request, c.request.Validate(), c.field)
	}
}

func TestAnInstantIsThatOfRFC3339(t *testing.T) {
	t.Parallel()
	var i bus.Instant
	if err := json.Unmarshal([]byte(`"2026-11-21T10:00:00.5+02:00"`), &i); err != nil {
		t.Error(err)
	}
	if text, err := json.Marshal(i); err != nil || string(text) != `"2026-11-21T08:00:00.500Z"` {
		t.Errorf("written %s, %v; want UTC with milliseconds", text, err)
	}
	for _, text := range []string{"", "yesterday", "2026-11-21", "1795346356"} {
		if err := i.UnmarshalText([]byte(text)); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("%q: got %v; want ErrInvalid", text, err)
		}
	}
}
