package view_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// BenchmarkWake is a change with many lists waiting: all for its service, so that each is
// answered, or each for a service of its own, so that one is.
func BenchmarkWake(b *testing.B) {
	const waiters = 1000
	for name, scope := range map[string]func(i int) backend.Scope{
		"All": func(int) backend.Scope { return ofService("a") },
		"OneOfMany": func(i int) backend.Scope {
			if i == 0 {
				return ofService("a")
			}
			return ofService(fmt.Sprint("s-", i))
		},
	} {
		b.Run(name, func(b *testing.B) {
			v := view.New(1)
			v.Apply(1, put(1, key("a", "1"), ""))
			var woken, wakes sync.WaitGroup
			again := make([]chan backend.Revision, waiters)
			n := 0
			for i := range waiters {
				again[i] = make(chan backend.Revision, 1)
				if scope(i) == ofService("a") {
					n++
				}
				woken.Go(func() {
					for at := range again[i] {
						q := after(backend.Query{Scope: scope(i), Read: backend.Read{Wait: time.Hour}}, at)
						if err := v.AwaitChange(b.Context(), &q, time.Now().Add(time.Hour)); err != nil {
							return
						}
						if page, _, err := v.List(b.Context(), q, nil); err != nil || len(page.Registrations) != 1 {
							b.Error(page, err)
						}
						wakes.Done()
					}
				})
				again[i] <- 1
			}
			revision := backend.Revision(1)
			b.ReportAllocs()
			for b.Loop() {
				for v.Waiting() < waiters {
					time.Sleep(20 * time.Microsecond) // the time of their coming back is part of a round
				}
				revision++
				wakes.Add(n)
				v.Apply(revision, put(revision, key("a", "1"), ""))
				wakes.Wait()
				for i := range waiters {
					if scope(i) == ofService("a") {
						again[i] <- revision
					}
				}
			}
			b.StopTimer()
			for i := range waiters {
				close(again[i])
			}
			v.Close()
			woken.Wait()
		})
	}
}

// BenchmarkApplyBesideWaiters is a change that nobody waits for, beside many who wait.
func BenchmarkApplyBesideWaiters(b *testing.B) {
	for _, waiters := range []int{0, 1000} {
		b.Run(fmt.Sprint(waiters), func(b *testing.B) {
			v := view.New(1)
			v.Apply(1, put(1, key("a", "1"), ""))
			var done sync.WaitGroup
			for i := range waiters {
				done.Go(func() {
					q := after(backend.Query{Scope: ofService(fmt.Sprint("s-", i)), Read: backend.Read{Wait: time.Hour}}, 1)
					_ = v.AwaitChange(b.Context(), &q, time.Now().Add(time.Hour))
				})
			}
			for v.Waiting() < waiters {
				time.Sleep(time.Millisecond)
			}
			revision := backend.Revision(1)
			b.ReportAllocs()
			for b.Loop() {
				revision++
				v.Apply(revision, put(revision, key("a", "1"), ""))
			}
			b.StopTimer()
			v.Close()
			done.Wait()
		})
	}
}
