//go:build wallclock

package natstest

import (
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname
)

// WallMoves reports whether SetWall can do anything: in a program that is built with what
// e2e/faults/overlay.sh makes.
const WallMoves = true

//go:linkname wallOffset runtime.wallOffset
var wallOffset int64

// SetWall has the clock on the wall of this process be so far ahead of the machine's, in
// whole seconds. Other clocks, and whatever waits, are not touched.
func SetWall(ahead time.Duration) error {
	atomic.StoreInt64(&wallOffset, int64(ahead/time.Second))
	return nil
}
