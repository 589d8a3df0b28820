package natskv

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

func TestPlaceIsReadFromEveryFormOfAcknowledgementSubject(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"$JS.ACK.KV_b.feed.1.42.7.1700000000000000001.3",
		"$JS.ACK.hub.ACC.KV_b.feed.1.42.7.1700000000000000001.3",
		"$JS.ACK._.ACC.KV_b.feed.1.42.7.1700000000000000001.3.random",
	} {
		got, ok := parsePlace(reply)
		want := place{sequence: 42, delivery: 7, pending: 3, at: time.Unix(0, 1700000000000000001)}
		if !ok || got != want {
			t.Errorf("parsePlace(%s) = %+v, %t, want %+v", reply, got, ok, want)
		}
	}
	for _, reply := range []string{"", "_INBOX.x", "$JS.ACK.s.c.1.2.3", "$JS.ACK.KV_b.feed.1.x.7.1.3", "$JS.ACK.KV_b.feed.1..7.1.3"} {
		if got, ok := parsePlace(reply); ok {
			t.Errorf("parsePlace(%q) = %+v, want none", reply, got)
		}
	}
}

func TestAcknowledgementsAreReadWithAndWithoutADomain(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`{"stream":"KV_b","seq":42}`, `{"stream":"KV_b","domain":"hub","seq":42}`, `{"stream":"KV_b", "seq": 42,"count":2}`,
		`{"seq":42,"stream":"KV_b"}`,
	} {
		if got, err := parseAck([]byte(data)); got != 42 || err != nil {
			t.Errorf("parseAck(%s) = %d, %v, want 42", data, got, err)
		}
	}
	_, err := parseAck([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"KV_b","seq":0}`))
	if refused, ok := errors.AsType[*jetstream.APIError](err); !ok || refused.ErrorCode != codeWrongRevision {
		t.Errorf("parseAck of a refusal = %v", err)
	}
	for _, data := range []string{"", "+OK", `{"stream":"KV_b","seq":0}`, `{"stream":"KV_b"}`} {
		if got, err := parseAck([]byte(data)); err == nil {
			t.Errorf("parseAck(%q) = %d, want an error", data, got)
		}
	}
}

func TestAWriteComesBackFromItsMessage(t *testing.T) {
	t.Parallel()
	s := &Store{config: DefaultConfig()}
	at := time.Unix(1, 0)
	w := kvstore.Write{
		Key: "a.b", Value: []byte("v"), Expect: 7, Remove: true, Keep: 90 * time.Second,
		Labels: kvstore.Labels{Operation: "op", Event: "expired", Reason: "closed"},
	}
	m := s.message(&w)
	got := decode("a.b", m.Header, m.Data, 9, at)
	want := stored{
		Entry:       kvstore.Entry{Key: "a.b", Value: w.Value, Revision: 9, Removed: true, Labels: w.Labels, Time: at},
		conditional: true, expect: 7, expires: at.Add(90 * time.Second),
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(stored{})); d != "" {
		t.Errorf("decode (-want +got):\n%s", d)
	}
}

func TestMarkersOfOtherClientsAreRemovals(t *testing.T) {
	t.Parallel()
	for _, header := range []nats.Header{
		{"KV-Operation": {"DEL"}}, {"KV-Operation": {"PURGE"}, "Nats-Rollup": {"sub"}}, {"Nats-Marker-Reason": {"MaxAge"}, "Nats-TTL": {"30m"}},
	} {
		if e := decode("a", header, nil, 1, time.Unix(1, 0)); !e.Removed {
			t.Errorf("decode(%v) is not a removal", header)
		}
	}
	if e := decode("a", nil, nil, 1, time.Unix(1, 0)); e.Removed {
		t.Error("a plain message is a removal")
	}
}

func TestARefusalSaysWhetherTryingAgainHelps(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code    int
		err     jetstream.ErrorCode
		verdict verdict
		is      error
	}{
		{400, codeWrongRevision, conflict, nil},
		{400, codeInFlight, conflict, nil},
		{400, codeTooLarge, refused, kvstore.ErrTooLarge},
		{500, codeNoStorage, refused, kvstore.ErrUnavailable},
		{503, codeNoResources, refused, kvstore.ErrUnavailable},
		{503, 10008, again, nil},
		{400, codeBatchLost, again, nil},
		{400, 10166, refused, kvstore.ErrUnavailable},
	} {
		got, err := judge(&jetstream.APIError{Code: test.code, ErrorCode: test.err})
		if got != test.verdict || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("judge(%d) = %d, %v, want %d, %v", test.err, got, err, test.verdict, test.is)
		}
	}
}
