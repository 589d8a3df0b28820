package natskv

import (
	"testing"
	"time"

	"github.com/roostbus/roost/kvstore"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// of returns an entry of key at revision that was written at expect.
func of(key string, revision, expect uint64) *stored {
	return &stored{Entry: kvstore.Entry{Key: key, Revision: revision}, conditional: true, expect: expect}
}

func TestCensusAcceptsWhatItWasShown(t *testing.T) {
	t.Parallel()
	c := newCensus()
	c.count(of("a", 1, 0), true)
	c.count(of("b", 7, 3), true) // its earlier states are gone
	c.poll()
	c.count(of("b", 8, 7), false)
	c.count(of("c", 9, 0), false)
	if err := c.check(2, 8, noon); err != nil {
		t.Errorf("at revision 8: %v", err)
	}
	if err := c.check(3, 9, noon); err != nil {
		t.Errorf("at revision 9: %v", err)
	}
}

func TestCensusMissesAPurgedMessageThoughAnotherWasAdded(t *testing.T) {
	t.Parallel()
	c := newCensus()
	c.count(of("a", 1, 0), true)
	c.count(of("b", 2, 0), true)
	c.poll()
	c.count(of("c", 3, 0), false)
	if err := c.check(2, 3, noon); err == nil {
		t.Error("three keys were shown and two are there, which was accepted")
	}
}

func TestCensusLetsAMarkerGoWhenItsTimeHasComeAndNotBefore(t *testing.T) {
	t.Parallel()
	c := newCensus()
	marker := of("a", 2, 1)
	marker.Removed, marker.expires = true, noon
	c.count(of("b", 1, 0), true)
	c.count(marker, true)
	if err := c.check(1, 2, noon.Add(-2*time.Second)); err == nil {
		t.Error("the marker was gone two seconds early, which was accepted")
	}
	for _, messages := range []uint64{2, 1} { // about its time it may be there or not
		if err := c.check(messages, 2, noon.Add(time.Second)); err != nil {
			t.Errorf("%d messages a second after the marker's time: %v", messages, err)
		}
	}
	if err := c.check(1, 2, noon.Add(time.Minute)); err != nil {
		t.Errorf("a minute after the marker's time: %v", err)
	}
	if err := c.check(0, 2, noon.Add(time.Minute)); err == nil {
		t.Error("the other key was gone, which was accepted")
	}
}

func TestCensusDoesNotLetAMarkerGoThatWasReplaced(t *testing.T) {
	t.Parallel()
	c := newCensus()
	marker := of("a", 1, 0)
	marker.Removed, marker.expires = true, noon
	c.count(marker, true)
	c.count(of("a", 2, 1), false)
	if err := c.check(0, 2, noon); err == nil {
		t.Error("the key that replaced the marker was gone, which was accepted")
	}
}

func TestCensusKnowsTheKeysOfBarriers(t *testing.T) {
	t.Parallel()
	c := newCensus()
	probe := func(node string, revision uint64) *stored {
		return &stored{Entry: kvstore.Entry{Key: "probe." + node, Revision: revision}}
	}
	c.count(probe("x", 1), true)
	c.count(probe("x", 2), false)
	c.count(probe("y", 3), false)
	c.count(probe("y", 4), false)
	if err := c.check(2, 4, noon); err != nil {
		t.Errorf("two probes: %v", err)
	}
	if err := c.check(1, 4, noon); err == nil {
		t.Error("one of two probes was gone, which was accepted")
	}
}

// A message that was superseded before it was shown makes the count too low, once.
func TestCensusLearnsOfKeysWhoseCreationItWasNotShown(t *testing.T) {
	t.Parallel()
	c := newCensus()
	c.count(of("a", 2, 1), false)
	if err := c.check(1, 2, noon); err != nil {
		t.Errorf("one key: %v", err)
	}
	if err := c.check(0, 2, noon); err == nil {
		t.Error("the key was gone, which was accepted")
	}
}
