//go:build !wallclock

package natstest

import (
	"errors"
	"time"
)

// WallMoves reports whether SetWall can do anything: in a program that is built with what
// e2e/faults/overlay.sh makes.
const WallMoves = false

// SetWall has the clock on the wall of this process be so far ahead of the machine's, in
// whole seconds. Other clocks, and whatever waits, are not touched.
func SetWall(time.Duration) error {
	return errors.New("this program cannot move its clock; see e2e/faults/overlay.sh")
}
