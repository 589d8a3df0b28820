package backendtest

import (
	"slices"
	"testing"

	"github.com/roostbus/roost/backend"
)

// Profile says what one implementation is excused from. Every field is an excuse, so
// the zero Profile runs the whole contract.
type Profile struct {
	// NoAtomicBatch excuses a backend that cannot apply a batch all or none. It owes
	// backend.ErrNotAtomic instead.
	NoAtomicBatch bool

	// NoLeases excuses a backend that cannot be given owners to believe in, like a client
	// whose server has its own lease table. What needs no owner is checked all the same.
	NoLeases bool

	// NoReasons excuses a backend that takes a reason with removals only, like the wire.
	// It owes ErrInvalid instead.
	NoReasons bool

	// BriefBatches excuses a backend that answers a batch with keys and revisions, and
	// takes an atomic batch and one that is not for two requests, like the wire.
	BriefBatches bool
}

// Run checks the contract against fresh, empty backends made by open. A backend asks live
// which owners live. open registers its own clean-up on t; it is called once for every
// clause, and several clauses run at a time.
func Run(t *testing.T, p Profile, open func(t *testing.T, live backend.Liveness) backend.Backend) {
	t.Helper()
	for _, c := range contract() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if p.NoLeases && c.owners {
				t.Skip("excused by Profile.NoLeases: this clause needs owners")
			}
			leases := NewLeases()
			c.check(t, subject{Backend: open(t, leases), leases: leases, profile: p})
		})
	}
}

// clause is one sentence of the contract.
type clause struct {
	name   string
	check  func(t *testing.T, s subject)
	owners bool // it needs owners
}

// subject is the backend that a clause looks at, and the owners that it believes in.
type subject struct {
	backend.Backend
	leases  *Leases
	profile Profile
}

func contract() []clause {
	return slices.Concat(
		registerClauses, registerConditionClauses, registerLimitClauses, ownerClauses, metadataClauses,
		updateClauses, unregisterClauses, repeatClauses,
		readClauses, stampClauses, listClauses, pageClauses, whereClauses, filterClauses, summaryClauses,
		sinceClauses, waitClauses,
		watchClauses, watchQueryClauses,
		batchClauses, leaseClauses, reapClauses, contextClauses, closeClauses, healthClauses,
	)
}
