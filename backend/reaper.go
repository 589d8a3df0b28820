package backend

import "context"

// Reaper is the ability of a Backend on a store to take out what ended leases have left.
//
// Readers see nothing of an ended lease from its end on, whether it was taken out or not;
// see [Ending]. Taking it out is housekeeping, which one node does for all. It hears what
// there is to do from [Liveness.OnEnd] and from OnVoid, and finds with Remains what was
// left before it began to listen.
//
// A node that lags behind may take a lease for living a moment longer than it does, so
// something can be written under a lease after its end. It is void, no reader ever sees it,
// and it may arrive when Reap has found nothing any more and even when the lease itself is
// forgotten: OnVoid tells of it, on every node, whenever that is.
type Reaper interface {
	// Owned returns how many registrations are stored for owner as far as this node has
	// seen, its lease ended or not. It does not block.
	Owned(owner string) int

	// Remains returns an ending for every owner of whom something is stored although its
	// lease has ended, as far as this node has seen, in no order. It does not block, and
	// looks at every owner.
	Remains() []Ending

	// OnVoid has f called when something turns up of an owner whose lease has ended before:
	// a late write, or in a snapshot what nobody has taken out of an owner whom the lease
	// table does not know any more. f comes with an ending to give to Reap, may be called
	// again for the same owner, comes from the feed and must not block. The returned
	// function ends that.
	OnVoid(f func(Ending)) (cancel func())

	// Reap removes what is stored of e.Owner, whose lease has ended, as changes of kind
	// Expired with e.Reason. It is idempotent, may be called by several nodes at once, and
	// touches nothing that belongs to somebody else meanwhile.
	//
	// left is Owned after this node has seen what Reap has done; with an error it may count
	// what is removed already. ErrInvalid for an owner that lives, ErrUnavailable, and
	// ErrUnknownOutcome: in any case but the first, call it again.
	Reap(ctx context.Context, e Ending) (left int, err error)
}

// ReaperOf returns b's [Reaper]. Where there is none b keeps nothing of an ended lease, and
// there is nothing to do.
func ReaperOf(b Backend) Reaper {
	if r, ok := b.(Reaper); ok {
		return r
	}
	return nothingLeft{}
}

type nothingLeft struct{}

func (nothingLeft) Owned(string) int                          { return 0 }
func (nothingLeft) Remains() []Ending                         { return nil }
func (nothingLeft) OnVoid(func(Ending)) func()                { return func() {} }
func (nothingLeft) Reap(context.Context, Ending) (int, error) { return 0, nil }
