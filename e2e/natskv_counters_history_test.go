package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/natskv"
)

// addition is an Add, or, if delta is 0, a Value.
type addition struct{ delta int64 }

// sum is what came of an addition; "" is not known.
type sum struct{ value string }

// counterModel is a counter, of which each operation shows the value.
func counterModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, output any) (bool, any) {
			next := state.(int64) + input.(addition).delta
			value := output.(sum).value
			return value == "" || value == fmt.Sprint(next), next
		},
	}
}

// counterHistory is what clients were told.
type counterHistory struct {
	mu    sync.Mutex
	begun time.Time
	all   []porcupine.Operation
	sure  int
}

func (h *counterHistory) now() int64 { return int64(time.Since(h.begun)) }

func (h *counterHistory) record(client int, called int64, in addition, value string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Input: in, Output: sum{value}, Call: called, Return: h.now()}
	switch {
	case err == nil:
		h.sure++
	case errors.Is(err, kvstore.ErrUnknownOutcome) && in.delta != 0:
		op.Return = math.MaxInt64 // it may happen yet
	default: // it has not happened, or was a read
		return
	}
	h.all = append(h.all, op)
}

func (h *counterHistory) completed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sure
}

// Additions in flight when NATS goes are sent again; each counts once, and none goes back.
func TestTheHistoryOfACounterIsLinearizableAcrossRestartsOfNATS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("records a long history: not with -short")
	}
	srv := natstest.Start(t)
	h := &counterHistory{begun: time.Now()}
	const clients, enough = 8, 2000
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for i := range clients {
		nc := srv.Connect(t, nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(-1), quiet)
		c := openCounters(t, openStore(t, nc, bucket(func(c *natskv.Config) { c.Node = fmt.Sprint(i) })))
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				in := addition{delta: int64(n%7 - 3)}
				called := h.now()
				once, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				var value string
				var err error
				if in.delta == 0 {
					value, err = c.Value(once, "n.c")
				} else {
					var s kvstore.Sum
					s, err = c.Add(once, "n.c", in.delta, fmt.Sprintf("%d-%d", i, n))
					value = s.Value
				}
				cancel()
				h.record(i, called, in, value, err)
			}
		})
	}
	for restarts := range 3 {
		natstest.Await(t, "operations", func() bool { return h.completed() >= (restarts+1)*enough/4 })
		srv.Stop()
		srv.Restart(t)
	}
	natstest.Await(t, "enough operations", func() bool { return h.completed() >= enough })
	stop()
	all.Wait()
	t.Logf("%d operations, of which %d completed", len(h.all), h.sure)
	if result := porcupine.CheckOperationsTimeout(counterModel(), h.all, time.Minute); result != porcupine.Ok {
		t.Errorf("the history of %d operations is %s", len(h.all), result)
	}
}
