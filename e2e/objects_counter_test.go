package e2e_test

import (
	"context"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// deposed are counters whose leader does not know that there is another one: it answers
// reads, but nothing that it would have to agree upon.
type deposed struct {
	kvstore.Counters
}

func (deposed) Value(context.Context, string) (string, error) { return "3", nil }

func TestALinearizableReadOfACounterIsNotALeadersWord(t *testing.T) {
	t.Parallel()
	counters := deposed{memkv.NewCounters()}
	b := memory.New(backend.Nobody, memory.WithEpoch(3))
	t.Cleanup(func() { b.Close() })
	w := serveWire(t, b, 0, nil, server.WithCoordination(server.Coordination{Counters: counters}))
	w.must(t, nil, "counter.add.default.hits", `{"delta":"7"}`)
	for body, want := range map[string]string{
		`{"consistency":"linearizable"}`: "7",
		`{"consistency":"local"}`:        "3",
		"":                               "3",
	} {
		var reply struct{ Value string }
		w.must(t, &reply, "counter.get.default.hits", body)
		if reply.Value != want {
			t.Errorf("%s: the counter is %s; want %s", body, reply.Value, want)
		}
	}
}

func TestACounterThatWasReadLinearizablyIsListedAndOnlyThen(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	for _, c := range []struct {
		body   string
		listed int
	}{{"", 0}, {`{"consistency":"local"}`, 0}, {`{"consistency":"linearizable"}`, 1}} {
		var reply bus.CounterReply
		if w.must(t, &reply, "counter.get.default.hits", c.body); reply.Value != "0" {
			t.Errorf("%s: the counter is %s; want 0", c.body, reply.Value)
		}
		var names bus.ObjectsReply
		if w.must(t, &names, "counter.list", ""); len(names.Names) != c.listed {
			t.Errorf("after %s: %v are listed; want %d", c.body, names.Names, c.listed)
		}
	}
}
