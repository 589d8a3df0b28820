package bus

import "github.com/roostbus/roost/backend"

// Beacon is what the keeper publishes once a second on [Subjects.Beacon].
type Beacon struct {
	// Revision is how far the keeper's feed has come. A follower that repairs what it may
	// have missed asks for at least it.
	Revision backend.Revision `json:"revision"`
	Epoch    backend.Epoch    `json:"epoch"`
	// Feed is another one whenever changes may have been published that did not reach
	// every follower. It has no order.
	Feed   string `json:"feed"`
	Keeper Keeper `json:"keeper"`
}

// Keeper is the node that holds the lease clock.
type Keeper struct {
	Node string `json:"node"`
	// Term grows with every keeper of one epoch; of two beacons the one with the lower
	// epoch, or the lower term in the same, is late.
	Term uint64 `json:"term"`
}
