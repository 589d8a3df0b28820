// Package engine applies the transitions of package coordination to what is stored, wakes
// those who wait for what comes of them, and has the keeper's node go on with what ended
// leases, nodes that have gone and proposals whose time is over have left.
//
//	e := engine.New(store, tail, leases, guard, keeper, node) // before tail.Run
//	go e.Run(ctx)
//	grant, stamp, err := e.Locks.Acquire(ctx, name, party, coordination.Exclusive, time.Minute, by)
//
// # How a transition is made
//
// It is decided from the newest state that the node knows, in which owners whose leases
// have ended count for nothing, and written at the revision of that state; if somebody was
// faster it is decided again. Callers of one key take turns within a node, and those who
// wait for their turn together are decided one after the other, each from what the one before
// it has left, and written with one write: as far as that gives no more than one token,
// releases no more than one generation, and decides no more than one thing, so that each of
// those is announced. That the outcome of the write is not known, or that somebody was faster,
// concerns all of them, and the operation of each that must happen only once stays
// recognisable. Who only comes to wait at a record that is being written all the time waits a
// moment for somebody to be written together with. A write that
// succeeds shows that what it was decided from was current; every answer that writes
// nothing is decided once more after a barrier.
//
// # Guarantees
//
//   - Nobody is told that it holds or leads before this node's feed has passed the grant's
//     revision without an end of that lease.
//   - No answer shows as holder, leader or waiter an owner whose lease ended at or below the
//     revision in its stamp.
//   - Of several who wait at one record only those are woken for whom something has changed.
//   - The tokens of an object only grow, also when its record is removed and made again, and
//     when the store is. A record's counter is never above the revision at which it was
//     written. One that is made from nothing begins above a revision at which the record
//     before it was removed already: that of its marker, or of a barrier. And a store that is
//     made anew has a higher epoch, which comes first when tokens are compared. What a node
//     does not promise is that of one that stands still between that barrier and its write
//     for longer than the least life of a record and its marker, an hour and forty minutes:
//     by then its connection has long been closed.
//
// # Not guaranteed
//
//   - That nobody is granted something after its lease has ended: a node that lags behind
//     may write that. It is void, no reader shows it, and the keeper takes it out.
package engine
