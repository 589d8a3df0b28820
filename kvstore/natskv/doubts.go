package natskv

import (
	"math"

	"github.com/nats-io/nuid"
)

// doubts are the messages that a feed skipped and of which it has not shown what replaced
// them. While there are any, what was shown was never the bucket's state.
//
// A message that names the skipped one as the one before it has replaced it. Where none
// does, a message of our own tells, the proof: it is written after the skipped one was
// missed, so whatever had replaced that is before it.
//
// That a consumer has nothing more to show tells only where the bucket has one replica.
// Another's own copy may be catching up, in leaps over what its leader does not have any
// more, to what that was replaced by and the copy does not have yet.
type doubts struct {
	skipped map[uint64]uint64 // by sequence, the number of the proof that will tell
	lump    uint64            // the same for those that were too many to be listed; 0 if none
	proofs  uint64            // begun so far
	come    uint64            // the newest that was shown
	prove   string            // the operation of the newest
}

// maxSkipped is the greatest number of skipped messages that are told apart.
const maxSkipped = 1000

// skip says that no message from first up to, but not including, next was shown.
func (d *doubts) skip(first, next uint64) {
	proof := d.proofs + 1
	if next-first > maxSkipped || len(d.skipped) > maxSkipped {
		d.lump = proof
		return
	}
	if d.skipped == nil {
		d.skipped = map[uint64]uint64{}
	}
	for ; first < next; first++ {
		d.skipped[first] = proof
	}
}

// replaced says that what replaced the message at sequence was shown.
func (d *doubts) replaced(sequence uint64) { delete(d.skipped, sequence) }

// any reports whether there are any.
func (d *doubts) any() bool { return d.lump != 0 || len(d.skipped) > 0 }

// begin returns the operation of a proof that is to be written now.
func (d *doubts) begin() string {
	d.proofs++
	d.prove = nuid.Next()
	return d.prove
}

// underway reports whether a proof that settles everything was begun and has not come.
func (d *doubts) underway() bool {
	if d.proofs == d.come || d.lump > d.proofs {
		return false
	}
	for _, proof := range d.skipped {
		if proof > d.proofs {
			return false
		}
	}
	return true
}

// shown says that a message with operation was shown.
func (d *doubts) shown(operation string) {
	if d.prove != "" && operation == d.prove {
		d.come, d.prove = d.proofs, ""
		d.settle(d.come)
	}
}

// settle forgets those that the proof of that number tells about.
func (d *doubts) settle(proof uint64) {
	if d.lump <= proof {
		d.lump = 0
	}
	for sequence, due := range d.skipped {
		if due <= proof {
			delete(d.skipped, sequence)
		}
	}
}

// clear forgets all.
func (d *doubts) clear() { d.settle(math.MaxUint64) }
