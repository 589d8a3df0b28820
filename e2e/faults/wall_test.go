//go:build wallclock

package faults_test

import (
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/natstest"
)

// The clock on the wall is that of the whole process.
func TestTheClockOnTheWallMovesAndNoOther(t *testing.T) {
	before := time.Now()
	if err := natstest.SetWall(-time.Hour); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := natstest.SetWall(0); err != nil {
			t.Error(err)
		}
	}()
	now := time.Now()
	if moved := now.Round(0).Sub(before.Round(0)); moved > -59*time.Minute {
		t.Errorf("the clock on the wall has moved by %v", moved)
	}
	if took := now.Sub(before); took < 0 || took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
