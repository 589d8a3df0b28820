package client

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// minute is a time of the tests.
func minute(n int) time.Time { return time.Date(2026, 11, 21, 3, n, 0, 0, time.UTC) }

// happened is an entry about an instance, at a minute that is its revision.
func happened(kind string, revision int, instance string) bus.HistoryEntry {
	return bus.HistoryEntry{
		Kind: kind, Time: bus.Instant(minute(revision)), Revision: Revision(revision), Object: bus.ObjectRegistration, //nolint:gosec // small
		Namespace: "default", Service: "a", Instance: instance,
		Body: fmt.Appendf(nil, `{"namespace":"default","service":"a","instance":%q,"metadata":{"n":%d}}`, instance, revision),
	}
}

// thereAt returns who was there, as "instance:n", with a "?" where what it says is of later.
func thereAt(m Moment, first int, entries []bus.HistoryEntry, now ...*Registration) (string, error) {
	p := newPast(m)
	if err := p.begin(&bus.HistoryBound{Time: bus.Instant(minute(first)), Revision: Revision(first)}); err != nil { //nolint:gosec // small
		return "", err
	}
	for i := range entries {
		if err := p.take(&entries[i]); err != nil {
			return "", err
		}
	}
	present := map[Key]*Registration{}
	for _, r := range now {
		present[r.Key] = r
	}
	found, err := p.state(present)
	text := ""
	for _, one := range found {
		text += one.Instance + ":" + one.Metadata.String()
		if one.Later {
			text += "?"
		}
		text += " "
	}
	return text, err
}

func TestWhoWasThereIsToldOrRefused(t *testing.T) {
	t.Parallel()
	removed := happened("expired", 30, "gone")
	replaced := happened("registered", 32, "taken")
	replaced.Reason = backend.ReasonReplaced
	entries := []bus.HistoryEntry{
		{Kind: bus.HistoryBegin, Time: bus.Instant(minute(5)), Revision: 5},
		happened("registered", 10, "a"), happened("updated", 15, "a"), happened("unregistered", 20, "a"),
		happened("registered", 25, "new"), removed, happened("updated", 31, "old"), replaced,
		{Kind: bus.HistoryGap, Time: bus.Instant(minute(44)), Revision: 32, From: 32, To: 40},
		happened("registered", 39, "after"),
	}
	still := &Registration{Key: Key{Namespace: "default", Service: "a", Instance: "still"}, Revision: 2, UpdatedAt: minute(2)}
	for revision, want := range map[int]string{
		9:  `gone:{"n":30} old:{"n":31}? still:{} taken:{"n":32}? `,
		12: `a:{"n":10} gone:{"n":30} old:{"n":31}? still:{} taken:{"n":32}? `,
		15: `a:{"n":15} gone:{"n":30} old:{"n":31}? still:{} taken:{"n":32}? `,
		20: `gone:{"n":30} old:{"n":31}? still:{} taken:{"n":32}? `,
		30: `new:{"n":25} old:{"n":31}? still:{} taken:{"n":32}? `,
		32: `new:{"n":25} old:{"n":31} still:{} taken:{"n":32} `,
		40: `after:{"n":39} new:{"n":25} old:{"n":31} still:{} taken:{"n":32} `,
	} {
		got, err := thereAt(Moment{Revision: Revision(revision)}, 5, entries, still) //nolint:gosec // small
		if err != nil || got != want {
			t.Errorf("at revision %d: %s, %v; want %s", revision, got, err, want)
		}
		if revision == 40 {
			continue // as of a time, it lies in the gap
		}
		if got, err := thereAt(Moment{Time: minute(revision)}, 5, entries, still); err != nil || got != want {
			t.Errorf("at 03:%02d: %s, %v; want %s", revision, got, err, want)
		}
	}
	for name, m := range map[string]Moment{
		"before the history": {Revision: 4}, "long before it": {Time: minute(1)},
		"in a gap": {Revision: 35}, "at a time in a gap": {Time: minute(41)},
	} {
		if got, err := thereAt(m, 5, entries, still); !errors.Is(err, ErrNotRecorded) {
			t.Errorf("%s: %q, %v; want ErrNotRecorded", name, got, err)
		}
	}
	anew := append(entries[:2:2], bus.HistoryEntry{Kind: bus.HistoryAnew, Time: bus.Instant(minute(50))}, happened("registered", 51, "b"))
	if got, err := thereAt(Moment{Time: minute(12)}, 5, anew); !errors.Is(err, ErrNotRecorded) {
		t.Errorf("before the bucket was made anew: %q, %v; want ErrNotRecorded", got, err)
	}
	if got, err := thereAt(Moment{Time: minute(55)}, 5, anew); err != nil || got != `b:{"n":51} ` {
		t.Errorf("after it: %q, %v; want b alone", got, err)
	}
}
