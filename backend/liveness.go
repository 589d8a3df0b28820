package backend

import "context"

// Liveness says which owners live. The lease table implements it; a Backend asks it and
// is told by it.
type Liveness interface {
	// Lives reports whether owner's lease has been granted and has not ended, as far as
	// this node has seen. It does not block.
	Lives(owner string) bool

	// Confirm is Lives after everything acknowledged before the call has been seen.
	// ErrUnavailable if that cannot be.
	Confirm(ctx context.Context, owner string) (bool, error)

	// OnEnd has f called for every ending from now on, in the order of the store,
	// before any later change is applied. f must not block. The returned function ends
	// that.
	OnEnd(f func(Ending)) (cancel func())
}

// Ending is the end of an owner's lease. From Revision on nothing of that owner's is
// there any more.
type Ending struct {
	Owner    string
	Revision Revision // 0 where the lease table and the backend have no common order
	Reason   string   // ReasonExpired, ReasonClosed or ReasonRevoked
}

// Nobody is the Liveness of a registry without leases: no owner lives, none ends.
var Nobody Liveness = nobody{}

type nobody struct{}

func (nobody) Lives(string) bool                             { return false }
func (nobody) Confirm(context.Context, string) (bool, error) { return false, nil }
func (nobody) OnEnd(func(Ending)) func()                     { return func() {} }
