package clock_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// serving returns a Clock that serves many leases on a store in memory.
func serving(tb testing.TB, many int) (*clock.Clock, []string) {
	tb.Helper()
	store := memkv.New()
	tail := kvstore.NewTail(store)
	table := lease.NewTable(tail, slog.New(slog.DiscardHandler))
	k, err := keeper.New(store, tail, keeper.Self{Node: "a"})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := clock.New(store, table, k, &door{}, clock.DefaultConfig())
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 3)
	for _, run := range []func(context.Context) error{tail.Run, k.Run, c.Run} {
		go func() {
			_ = run(ctx)
			done <- struct{}{}
		}()
	}
	tb.Cleanup(func() {
		cancel()
		for range cap(done) {
			<-done
		}
	})
	owners := make([]string, many)
	for i := range owners {
		owners[i] = fmt.Sprintf("owner%021d", i)
		for {
			_, err := c.Grant(ctx, clock.Request{Owner: owners[i], TTL: time.Hour})
			if err == nil {
				break
			}
			time.Sleep(time.Millisecond) // the tenure is about to begin
		}
	}
	return c, owners
}

func BenchmarkTouch(b *testing.B) {
	for _, many := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			c, owners := serving(b, many)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := c.Touch(owners[i%many], clock.Connection{}); !ok {
					b.Fatal("not counted")
				}
				i++
			}
		})
	}
}

// TestTouchAllocatesNothing keeps keepalives cheap.
func TestTouchAllocatesNothing(t *testing.T) {
	c, owners := serving(t, 10)
	conn := clock.Connection{Server: "s", Client: 1}
	c.Touch(owners[0], conn)
	if got := testing.AllocsPerRun(1000, func() { c.Touch(owners[0], conn) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
