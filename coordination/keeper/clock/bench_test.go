package clock_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// serving returns a Clock that serves, and grants many leases.
func serving(tb testing.TB, store kvstore.Store, many int) (c *clock.Clock, owners []string, stop func()) {
	tb.Helper()
	tail := kvstore.NewTail(store)
	table := lease.NewTable(tail, slog.New(slog.DiscardHandler))
	k, err := keeper.New(store, tail, keeper.Self{Node: "a"})
	if err != nil {
		tb.Fatal(err)
	}
	c, err = clock.New(store, table, k, &door{}, clock.DefaultConfig())
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
	stop = sync.OnceFunc(func() {
		cancel()
		for range cap(done) {
			<-done
		}
	})
	tb.Cleanup(stop)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := c.List(ctx, "", 1); err == nil {
			break
		} else if time.Now().After(deadline) {
			tb.Fatalf("the node does not serve: %v", err)
		}
	}
	owners = make([]string, many)
	for i := range owners {
		owners[i] = fmt.Sprintf("owner%021d", i)
		if _, err := c.Grant(ctx, clock.Request{Owner: owners[i], TTL: time.Hour}); err != nil {
			tb.Fatal(err)
		}
	}
	return c, owners, stop
}

func BenchmarkTouch(b *testing.B) {
	for _, many := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			c, owners, _ := serving(b, memkv.New(), many)
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
	c, owners, _ := serving(t, memkv.New(), 10)
	conn := clock.Connection{Server: "s", Client: 1}
	c.Touch(owners[0], conn)
	if got := testing.AllocsPerRun(1000, func() { c.Touch(owners[0], conn) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
	all := namesOf(owners)
	c.TouchAll(all, conn)
	if got := testing.AllocsPerRun(1000, func() { c.TouchAll(all, conn) }); got != 0 {
		t.Errorf("%v allocations for many", got)
	}
}

func namesOf(owners []string) (names [][]byte) {
	for _, owner := range owners {
		names = append(names, []byte(owner))
	}
	return names
}

// BenchmarkTouchAll is one message that keeps 100 of many leases alive.
func BenchmarkTouchAll(b *testing.B) {
	const many, each = 100_000, 100
	c, owners, _ := serving(b, memkv.New(), many)
	names := namesOf(owners)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := c.TouchAll(names[i:i+each], clock.Connection{}); !ok {
			b.Fatal("not counted")
		}
		i = (i + each) % many
	}
}
