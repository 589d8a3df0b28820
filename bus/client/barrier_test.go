package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
)

type arrival struct {
	generation uint64
	err        error
}

// arrives has n parties arrive, one after the other, and sends on what came of each.
func arrives(t *testing.T, b *Barrier, lease *Lease, n int) <-chan arrival {
	t.Helper()
	came := make(chan arrival, n)
	for range n {
		go func() {
			generation, err := b.Arrive(t.Context(), lease, ArriveOptions{})
			came <- arrival{generation, err}
		}()
		synctest.Wait()
	}
	return came
}

func TestABarrierReleasesEachGenerationTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		b, lease := c.Barrier("default", "db", 3), grant(t, c, ttl)
		for generation := range uint64(3) {
			came := arrives(t, b, lease, 2)
			time.Sleep(10 * time.Minute) // longer than any sending waits
			select {
			case a := <-came:
				t.Errorf("released with two of three: %+v", a)
			default:
			}
			last := arrives(t, b, lease, 1)
			for _, a := range []arrival{<-came, <-came, <-last} {
				if a != (arrival{generation: generation + 1}) {
					t.Errorf("got %+v; want generation %d", a, generation+1)
				}
			}
		}
		r, _, err := b.Get(t.Context(), Read{})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(BarrierRecord{Generation: 4}, r); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAnArrivalWhoseReplyIsLostIsOfNoOtherGeneration (C8)
func TestAnArrivalWhoseReplyIsLostIsOfNoOtherGeneration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		b, lease := c.Barrier("default", "db", 2), grant(t, c, ttl)
		o.deaf["arrive"] = true
		came := arrives(t, b, lease, 2) // both are released, and neither hears of it
		time.AfterFunc(time.Minute, func() { o.do(func() { o.deaf["arrive"] = false }) })
		for range 2 {
			if a := <-came; a != (arrival{generation: 1}) {
				t.Errorf("got %+v; want generation 1", a)
			}
		}
		o.do(func() {
			if r := record[officeBarrier](o, bus.KindBarrier, "default.db"); r.Done != 1 || len(r.Parties) != 0 {
				t.Errorf("the record is %+v; want one generation and nobody in the next", r.BarrierRecord)
			}
		})
		again, err := b.Arrive(t.Context(), lease, ArriveOptions{Generation: 1})
		if again != 1 || err != nil {
			t.Errorf("a repeat for generation 1: %d, %v", again, err)
		}
	})
}

func TestAPartyThatIsCancelledDoesNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		b, lease := c.Barrier("default", "db", 2), grant(t, c, ttl)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Arrive(ctx, lease, ArriveOptions{})
		wantErr(t, err, context.DeadlineExceeded)
		synctest.Wait() // it is taken out in the background
		_, err = b.Arrive(t.Context(), lease, ArriveOptions{Wait: time.Minute})
		wantErr(t, err, ErrTimeout)
		o.do(func() {
			if r := record[officeBarrier](o, bus.KindBarrier, "default.db"); r.Done != 0 || len(r.Parties) != 0 {
				t.Errorf("the record is %+v; want nobody", r.BarrierRecord)
			}
		})
	})
}
