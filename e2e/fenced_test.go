package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/bus/client/fenced"
	"github.com/roostbus/roost/e2e/natstest"
)

// TestNoWriteOfAnEarlierLeaderIsStoredAfterThatOfALaterOne has leaders write who do not know
// of each other, and reads back what was stored in which order. (C1)
func TestNoWriteOfAnEarlierLeaderIsStoredAfterThatOfALaterOne(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) {
			t.Parallel()
			js := fencedBucket(t, replicas)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var leaders sync.WaitGroup
			for n := range 5 {
				b, err := fenced.Open(ctx, js, "plans", fencedToken(n))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.Put(ctx, "at.once", []byte(fencedToken(n))); err != nil {
					t.Error("the newest leader:", err)
				}
				for w := range 4 { // a leader before goes on until it is refused
					leaders.Go(func() { writeUntilFenced(ctx, t, b, fencedToken(n), w, n == 4) })
				}
			}
			leaders.Wait()
			wantTokensInOrder(ctx, t, js)
		})
	}
}

func fencedBucket(t *testing.T, replicas int) jetstream.JetStream {
	t.Helper()
	var nc *nats.Conn
	if replicas == 1 {
		nc = natstest.Start(t).Connect(t)
	} else {
		cluster := natstest.StartCluster(t, replicas)
		nc = cluster.Connect(t, nil)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "a bucket", func() bool {
		_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "plans", Replicas: replicas, History: 64})
		return err == nil
	})
	return js
}

func fencedToken(n int) client.Token { return client.Token(fmt.Sprintf("%08x-%016x", 1, n+1)) }

// writeUntilFenced writes until the leader is refused; the last one writes 50 times.
func writeUntilFenced(ctx context.Context, t *testing.T, b *fenced.Bucket, token client.Token, writer int, last bool) {
	for i := 0; !last || i < 50; i++ {
		_, err := b.Put(ctx, fmt.Sprintf("%s.%d.%d", token, writer, i), []byte(token))
		switch {
		case errors.Is(err, fenced.ErrFenced) && !last:
			return
		case err != nil:
			t.Errorf("write of %s: %v", token, err)
			return
		}
	}
}

func wantTokensInOrder(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	stream, err := js.Stream(ctx, "KV_plans")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var latest client.Token
	tokens, writes := map[client.Token]bool{}, 0
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		if err != nil {
			t.Fatal(err)
		}
		token := client.Token(m.Data)
		if token.Before(latest) {
			t.Errorf("message %d is of %s, after one of %s", seq, token, latest)
		}
		latest = token
		tokens[token], writes = true, writes+1
	}
	if len(tokens) != 5 || writes < 200 {
		t.Errorf("%d writes of %d leaders were stored; want 200 or more of 5", writes, len(tokens))
	}
	if _, err := fenced.Open(ctx, js, "plans", fencedToken(0)); !errors.Is(err, fenced.ErrFenced) {
		t.Errorf("Open with the first token: %v; want ErrFenced", err)
	}
}
