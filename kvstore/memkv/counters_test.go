package memkv_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestCountersKeepTheContract(t *testing.T) {
	t.Parallel()
	kvstoretest.RunCounters(t, func(*testing.T) kvstore.Counters { return memkv.NewCounters() })
}

func TestAnAdditionIsRememberedForTwoMinutesAndNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := memkv.NewCounters()
		for _, step := range []struct {
			after time.Duration
			want  kvstore.Sum
		}{
			{0, kvstore.Sum{Value: "1"}},
			{kvstore.CounterMemory, kvstore.Sum{Value: "1", Repeated: true}},
			{1, kvstore.Sum{Value: "2"}},
		} {
			time.Sleep(step.after)
			if got, err := c.Add(t.Context(), "n.c", 1, "one"); got != step.want || err != nil {
				t.Errorf("Add() = %+v, %v; want %+v", got, err, step.want)
			}
		}
	})
}

func TestAnAdditionWhoseAcknowledgementIsLostHasHappened(t *testing.T) {
	t.Parallel()
	c := memkv.NewCounters()
	c.LoseAcknowledgements(1)
	if _, err := c.Add(t.Context(), "n.c", 3, "one"); !errors.Is(err, kvstore.ErrUnknownOutcome) {
		t.Errorf("Add() = %v; want ErrUnknownOutcome", err)
	}
	if got, err := c.Add(t.Context(), "n.c", 3, "one"); got != (kvstore.Sum{Value: "3", Repeated: true}) || err != nil {
		t.Errorf("the repeat: %+v, %v; want 3, repeated", got, err)
	}
}
