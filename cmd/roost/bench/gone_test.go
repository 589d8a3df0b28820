package bench_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/cmd/roost/bench"
)

func TestTheFirstMessageThatCountsSaysWhenSomethingWasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := bench.NewMourner(bench.Expired)
		begun := time.Now()
		go func() {
			d.Hear(&nats.Msg{Subject: "a", Header: nats.Header{"Roost-Event": {"updated"}}})
			time.Sleep(time.Second)
			d.Hear(&nats.Msg{Subject: "b", Header: nats.Header{"Roost-Event": {"expired"}}})
			time.Sleep(time.Second)
			d.Hear(&nats.Msg{Subject: "a", Header: nats.Header{"Roost-Event": {"expired"}}})
			time.Sleep(time.Second)
			d.Hear(&nats.Msg{Subject: "a", Header: nats.Header{"Roost-Event": {"expired"}}})
		}()
		for range 2 {
			at, err := d.When(t.Context(), "a")
			if err != nil || at.Sub(begun) != 2*time.Second {
				t.Errorf("a was gone after %v, %v; want 2s", at.Sub(begun), err)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

func TestWhatNobodyHearsOfIsNotGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := bench.NewMourner(func(*nats.Msg) bool { return true })
	d.Hear(&nats.Msg{Subject: "b"})
	if _, err := d.When(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("When = %v; want an error of the context", err)
	}
}

func TestTheNewestKeepaliveOfALeaseIsOverheard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h bench.Overheard
		begun := time.Now()
		h.Hear(&nats.Msg{Data: []byte(`{"lease":"a"}`)})
		time.Sleep(time.Second)
		h.Hear(&nats.Msg{Data: []byte(`{"lease":"a"}`)})
		time.Sleep(time.Second)
		h.Hear(&nats.Msg{Data: []byte(`{"lease":"b"}`)})
		h.Hear(&nats.Msg{Data: []byte(`no JSON`)})
		if at := h.Latest("a").Sub(begun); at != time.Second {
			t.Errorf("a was kept alive after %v; want 1s", at)
		}
		if !h.Latest("c").IsZero() {
			t.Error("c was never kept alive")
		}
	})
}

func TestKeepalivesAreBlamedForWhateverIsNoHousekeeping(t *testing.T) {
	t.Parallel()
	mine := []string{"lease.a", "lease.c"}
	for _, k := range []struct {
		key  string
		own  []string
		want bool
	}{
		{"keeper", nil, false},
		{"probe.node-1", nil, false},
		{"lease.b", nil, true},
		{"event.n.s.i", nil, true},
		{"epoch", nil, true},
		{"lease.c", mine, true},
		{"lease.b", mine, false},
		{"event.n.s.i", mine, false},
	} {
		if got := bench.LeasesWrote(k.key, k.own); got != k.want {
			t.Errorf("a write of %s, of leases %v: %v; want %v", k.key, k.own, got, k.want)
		}
	}
}

// reply is one to a request that was sent when the pace began.
func reply(body string) *nats.Msg { return &nats.Msg{Subject: "_INBOX.x.0", Data: []byte(body)} }

func TestAPaceEndsWhenAllRepliesHaveComeAndCountsTheRightOnes(t *testing.T) {
	t.Parallel()
	p := bench.NewPace(100, []byte("right"))
	p.Sent(3)
	p.Hear(reply("right"))
	go func() {
		p.Hear(reply("wrong"))
		p.Hear(reply("right"))
	}()
	if units, err := p.Finish(t.Context()); units != 200 || err == nil {
		t.Errorf("Finish = %d, %v; want 200 and a word about the wrong one", units, err)
	}
}

func TestAReplyThatIsMissingFailsAPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := bench.NewPace(1, []byte("right"))
		p.Sent(2)
		p.Hear(reply("right"))
		if units, err := p.Finish(t.Context()); units != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Finish = %d, %v; want 1 and what is missing", units, err)
		}
	})
}
