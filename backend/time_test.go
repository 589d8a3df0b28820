package backend

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimesAreWrittenAsTimeFormatsThem(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("east", 5*3600+1800)
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-70_000_000_000, 300_000_000_000).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(zone)
		if got, want := string(appendTime(nil, at)), at.UTC().Format(timeFormat); got != want {
			t.Fatalf("appendTime = %s; want %s", got, want)
		}
	})
}
