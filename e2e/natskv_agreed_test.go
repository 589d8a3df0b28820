package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
)

func TestAnErrorThatComesAfterTheClusterHasAgreedLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		code int
		want error
	}{
		"of a sequence that the leader is not at":     {10063, kvstore.ErrUnknownOutcome},
		"of a leader whose store is closed":           {10077, kvstore.ErrUnknownOutcome},
		"of one who did not put it to the cluster":    {10008, kvstore.ErrUnavailable},
		"of one who has no room, and says so at once": {10023, kvstore.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			s := openStore(t, srv.Connect(t), bucket())
			// In the bucket's place there is somebody who answers so.
			if err := operator(t, srv).DeleteStream(t.Context(), "KV_e2e"); err != nil {
				t.Fatal(err)
			}
			nc := srv.Connect(t)
			if _, err := nc.Subscribe("$KV.e2e.>", func(m *nats.Msg) {
				_ = m.Respond(fmt.Appendf(nil, `{"error":{"code":503,"err_code":%d,"description":"so"},"stream":"KV_e2e","seq":0}`, answer.code))
			}); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := s.Write(ctx, kvstore.Write{Key: "a"})
			if !errors.Is(err, answer.want) || errors.Is(err, kvstore.ErrUnavailable) && errors.Is(err, kvstore.ErrUnknownOutcome) {
				t.Errorf("Write() = %v; want %v", err, answer.want)
			}
		})
	}
}
