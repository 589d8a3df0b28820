package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
)

func TestAnAdditionWhoseReplyIsLostIsDoneOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		n := c.Counter("default", "hits")
		o.deaf["add"] = true
		time.AfterFunc(3*time.Second, func() { o.do(func() { o.deaf["add"] = false }) })
		value, err := n.Add(t.Context(), -7)
		if err != nil || value.String() != "-7" {
			t.Errorf("Add = %v, %v; want -7", value, err)
		}
		if sent := o.verbs()["add"]; sent < 2 {
			t.Errorf("it was sent %d times; want a repeat", sent)
		}
		for range 2 {
			value, repeated, err := n.AddOnce(t.Context(), "order-17", 10)
			if err != nil || value.String() != "3" {
				t.Errorf("AddOnce = %v, %v, %v; want 3", value, repeated, err)
			}
		}
		if value, _, err = n.Get(t.Context(), Read{}); err != nil || value.String() != "3" {
			t.Errorf("Get = %v, %v; want 3", value, err)
		}
		_, _, err = n.AddOnce(t.Context(), "", 1)
		wantErr(t, err, ErrInvalid)
	})
}

func TestAnAdditionThatIsNeverAnsweredIsUnknownAndNotRepeatedForLongerThanItIsRecognised(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		c.writeTimeout = time.Hour
		o.deaf["add"] = true
		begun := time.Now()
		_, err := c.Counter("default", "hits").Add(t.Context(), 1)
		wantUnknown(t, err)
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("it was sent again for %v", took)
		}
	})
}

const value8 = `{"value":"8","repeated":false}`

// A registry that has moved does not remember which additions were made before.
func TestAnAdditionIsOfTheEpochThatItWasFirstSentIn(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("700", "3", stored), failure(bus.CodeUnavailable, "4"), reply("9", "4", value8))
	if err := register(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	value, err := c.Counter("default", "hits").Add(t.Context(), 1)
	if err != nil || value.String() != "8" {
		t.Errorf("Add = %v, %v; want 8: it was not done in the epoch before", value, err)
	}
	var epochs []string
	for _, sent := range s.requests()[1:] {
		epochs = append(epochs, sent.msg.Header.Get(bus.HeaderEpoch))
	}
	if diff := cmp.Diff([]string{"3", "4"}, epochs); diff != "" {
		t.Errorf("it was sent in epochs (-want +got):\n%s", diff)
	}
}

func TestAnAdditionThatMayHaveBeenMadeInAnotherEpochIsNotMadeInThisOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, reply("700", "3", stored), silence, failure(bus.CodeUnavailable, "4"), reply("9", "4", value8))
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		_, err := c.Counter("default", "hits").Add(t.Context(), 1)
		wantUnknown(t, err)
		for _, sent := range s.requests()[1:] {
			if got := sent.msg.Header.Get(bus.HeaderEpoch); got != "3" {
				t.Errorf("it was sent in epoch %s; want 3", got)
			}
		}
	})
}
