package vclock_test

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus/client/vclock"
)

// small is a clock of few processes and few events, so that all orders occur.
type small vclock.Clock

func (small) Generate(r *rand.Rand, _ int) reflect.Value {
	c := small{}
	for _, process := range []string{"a", "b", "c"} {
		if r.Intn(3) > 0 {
			c[process] = uint64(r.Intn(3))
		}
	}
	return reflect.ValueOf(c)
}

func holds(t *testing.T, property any) {
	t.Helper()
	if err := quick.Check(property, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

// inverse is how the second stands to the first.
var inverse = map[vclock.Order]vclock.Order{
	vclock.Equal: vclock.Equal, vclock.Before: vclock.After, vclock.After: vclock.Before, vclock.Concurrent: vclock.Concurrent,
}

func TestTheOrderOfTwoClocksIsTheInverseOfThatOfTheOtherTwo(t *testing.T) {
	t.Parallel()
	seen := map[vclock.Order]bool{}
	holds(t, func(a, b small) bool {
		order := vclock.Clock(a).Compare(vclock.Clock(b))
		seen[order] = true
		return vclock.Clock(b).Compare(vclock.Clock(a)) == inverse[order]
	})
	if len(seen) != 4 {
		t.Errorf("only %v occurred", seen)
	}
}

func TestBeforeIsTransitive(t *testing.T) {
	t.Parallel()
	chains := 0
	holds(t, func(x, y, z small) bool {
		a, b, c := vclock.Clock(x), vclock.Clock(y), vclock.Clock(z)
		if a.Compare(b) != vclock.Before || b.Compare(c) != vclock.Before {
			return true
		}
		chains++
		return a.Compare(c) == vclock.Before
	})
	if chains == 0 {
		t.Error("no chain of three occurred")
	}
}

func TestAMergedClockIsTheLeastThatKnowsBoth(t *testing.T) {
	t.Parallel()
	holds(t, func(x, y, z small) bool {
		a, b, c := vclock.Clock(x), vclock.Clock(y), vclock.Clock(z)
		m := a.Merge(b)
		both := c.Knows(a) && c.Knows(b)
		return m.Knows(a) && m.Knows(b) && m.Compare(b.Merge(a)) == vclock.Equal && both == c.Knows(m)
	})
}

func TestWhatTicksIsAfterWhatItWas(t *testing.T) {
	t.Parallel()
	holds(t, func(x small) bool {
		a := vclock.Clock(x)
		return a.Compare(a.Tick("a")) == vclock.Before && a.Compare(a.Merge(a)) == vclock.Equal &&
			a.Tick("a").Compare(a.Tick("b")) == vclock.Concurrent
	})
}

func TestNoMethodChangesAClock(t *testing.T) {
	t.Parallel()
	holds(t, func(x, y small) bool {
		a, b := vclock.Clock(x), vclock.Clock(y)
		before := fmt.Sprint(a, b)
		a.Tick("a")
		a.Merge(b)
		a.Compare(b)
		return fmt.Sprint(a, b) == before
	})
}

func TestAClockComesBackFromJSON(t *testing.T) {
	t.Parallel()
	holds(t, func(x small) bool {
		text, err := json.Marshal(vclock.Clock(x))
		var back vclock.Clock
		return err == nil && json.Unmarshal(text, &back) == nil && back.Compare(vclock.Clock(x)) == vclock.Equal
	})
	text, err := json.Marshal(struct{ C vclock.Clock }{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"C":{}}`, string(text)); diff != "" {
		t.Error(diff)
	}
}

// TestTheOrderIsThatOfWhatCausedWhat lets processes send each other messages, and compares
// the clocks of all events with what can have known of what.
func TestTheOrderIsThatOfWhatCausedWhat(t *testing.T) {
	t.Parallel()
	type event struct {
		clock  vclock.Clock
		causes map[int]bool // the events that it can have known of
	}
	holds(t, func(seed int64) bool {
		r := rand.New(rand.NewSource(seed))
		processes := []string{"a", "b", "c"}
		last := map[string]int{}
		var events []event
		for i := range 12 {
			p := processes[r.Intn(len(processes))]
			e := event{clock: vclock.Clock{}, causes: map[int]bool{}}
			learn := func(j int) {
				e.clock = e.clock.Merge(events[j].clock)
				e.causes[j] = true
				for k := range events[j].causes {
					e.causes[k] = true
				}
			}
			if j, ok := last[p]; ok {
				learn(j)
			}
			if i > 0 && r.Intn(2) == 0 {
				learn(r.Intn(i)) // a message from there
			}
			e.clock = e.clock.Tick(p)
			last[p] = i
			events = append(events, e)
		}
		for i := range events {
			for j := range events[:i] {
				if got := events[j].clock.Compare(events[i].clock) == vclock.Before; got != events[i].causes[j] {
					return false
				}
			}
		}
		return true
	})
}

func ExampleClock() {
	order := vclock.Clock{}.Tick("orders")
	payment := order.Tick("payments")
	stock := order.Tick("stock")
	fmt.Println(order.Compare(payment), payment.Compare(stock), payment.Merge(stock).Compare(stock))
	// Output: before concurrent after
}
