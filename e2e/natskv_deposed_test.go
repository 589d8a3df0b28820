package e2e_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
)

// For a moment after a cut a write is heard by two leaders of the stream: one that was
// deposed and does not know the key yet refuses it, and its successor makes it. Both are
// played here, and the one that was deposed is always the quicker.
func TestTheRefusalOfALeaderThatLagsBehindIsNotTakenForCertain(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket())
	if err := operator(t, srv).DeleteStream(t.Context(), "KV_e2e"); err != nil {
		t.Fatal(err)
	}
	nc := srv.Connect(t)
	var operation atomic.Value
	answer := func(subject string, with func(m *nats.Msg)) {
		if _, err := nc.Subscribe(subject, with); err != nil {
			t.Fatal(err)
		}
	}
	answer("$KV.e2e.a", func(m *nats.Msg) {
		operation.Store(m.Header.Get("Roost-Operation"))
		_ = m.Respond([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 0"},"stream":"KV_e2e","seq":0}`))
	})
	answer("$JS.API.STREAM.MSG.GET.KV_e2e", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","error":{"code":404,"err_code":10037,"description":"no message found"}}`))
	})
	answer("$KV.e2e.probe.*", func(m *nats.Msg) { _ = m.Respond([]byte(`{"stream":"KV_e2e", "seq":8}`)) })
	answer("$JS.API.DIRECT.GET.KV_e2e", func(m *nats.Msg) {
		var q struct {
			Last []string `json:"multi_last"`
		}
		if json.Unmarshal(m.Data, &q) != nil {
			return
		}
		part := func(subject, sequence, last string, more ...string) {
			h := nats.Header{
				"Nats-Subject": {subject}, "Nats-Sequence": {sequence}, "Nats-Last-Sequence": {last},
				"Nats-Time-Stamp": {time.Now().UTC().Format(time.RFC3339Nano)},
			}
			for i := 0; i < len(more); i += 2 {
				h[more[i]] = []string{more[i+1]}
			}
			_ = m.RespondMsg(&nats.Msg{Header: h})
		}
		last := "0"
		if strings.Contains(strings.Join(q.Last, " "), "$KV.e2e.a") {
			part("$KV.e2e.a", "7", last, "Roost-Operation", operation.Load().(string))
			last = "7"
		}
		part("$KV.e2e.probe.node", "8", last)
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{
			"Status": {"204"}, "Nats-Num-Pending": {"0"}, "Nats-Last-Sequence": {"8"}, "Nats-UpTo-Sequence": {"8"},
		}})
	})
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	revision, err := s.Write(t.Context(), kvstore.Write{Key: "a", Expect: 5})
	if err != nil || revision != 7 {
		t.Errorf("Write() = %d, %v; want 7, at which it was made", revision, err)
	}
}

// A message may be heard twice, and be refused because it is being written, before it is.
func TestAWriteThatIsRefusedBecauseOneIsUnderWayMayBeThatOne(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, func(o *server.Options) { o.SyncAlways = true }) // the refusal comes first
	s := openStore(t, srv.Connect(t), bucket())
	there := mustWrite(t, s, kvstore.Write{Key: "a"})
	nc := srv.Connect(t)
	var once sync.Once
	if _, err := nc.Subscribe("$KV.e2e.a", func(m *nats.Msg) {
		once.Do(func() {
			_ = m.Respond([]byte(`{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"KV_e2e","seq":0}`))
			_ = nc.Publish("$KV.e2e.a", []byte("since")) // which comes after it
		})
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Write(t.Context(), kvstore.Write{Key: "a", Value: []byte("it"), Expect: there})
	if err != nil && !errors.Is(err, kvstore.ErrUnknownOutcome) {
		t.Errorf("Write() = %v; it was made", err)
	}
}
