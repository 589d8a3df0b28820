package switching

import (
	"strings"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
)

// Key is the store's key that holds the Record of the newest move; keys below it are what
// each node has answered.
const Key = "move"

const answerPrefix = Key + "."

// The states of a move, in the store that is left.
const (
	Copying = "copying"
	Pausing = "pausing" // writes wait
	Sealed  = "sealed"  // nothing that is written from now on counts, unless it is aborted
	Moved   = "moved"
	Aborted = "aborted"
)

// The states of a move, in the store that it leads to.
const (
	Incoming = "incoming" // not whole yet, unless the other store's record says Moved
	Arrived  = "arrived"
)

// Record is the value under [Key].
type Record struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Registry string `json:"registry"` // whose stores these are
	From     Place  `json:"from"`
	To       Place  `json:"to"`
	Node     string `json:"node"` // that carries it out
	Instance string `json:"instance"`
	// First is the lowest revision of the new store.
	First uint64 `json:"first,omitempty"`
	// Sealed is the revision at which the old one was sealed; 0 in the sealing itself.
	Sealed  uint64    `json:"sealed,omitempty"`
	Reason  string    `json:"reason,omitempty"` // why it was aborted
	Started time.Time `json:"started"`
	Copied  uint64    `json:"copied"`
	Keys    uint64    `json:"keys"` // to be copied, as far as is known
	// Beats makes each writing another one, so that a mover that has gone is noticed.
	Beats   uint64 `json:"beats"`
	PauseMs int64  `json:"pause_ms,omitempty"` // how long writes waited, once it is done
	// Settled says of an aborted one that the process which carried it out knows, and does
	// nothing more. Strays are earlier ones that are not.
	Settled bool    `json:"settled,omitempty"`
	Strays  []Stray `json:"strays,omitempty"`
}

// active reports whether the move is neither done nor given up.
func (r *Record) active() bool {
	return r.State == Copying || r.State == Pausing || r.State == Sealed
}

// bookkeeping reports whether a key is about the store itself and is not copied.
func bookkeeping(key string) bool {
	return key == Key || key == epoch.Key || strings.HasPrefix(key, answerPrefix) || strings.HasPrefix(key, kvstore.ProbePrefix)
}

// answer is what a node says about a move.
type answer struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	Beats    uint64 `json:"beats"` // of the record that it answers
}
