package nats

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAFloodOfWarningsIsNotAFloodOfLog covers what any client can cause by publishing
// where it may not.
func TestAFloodOfWarningsIsNotAFloodOfLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
		for range 1000 {
			l.Errorf("publish violation")
		}
		if got := strings.Count(out.String(), "violation"); got != maxWarnings {
			t.Errorf("%d of 1000 warnings were logged; want %d", got, maxWarnings)
		}
		time.Sleep(warningStretch)
		out.Reset()
		l.Errorf("publish violation")
		if got := out.String(); !strings.Contains(got, "dropped=980") || !strings.Contains(got, "violation") {
			t.Errorf("afterwards the log says %q; want how many were dropped, and the new one", got)
		}
	})
}
