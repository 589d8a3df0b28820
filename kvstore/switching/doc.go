// Package switching is a kvstore.Store that moves, with everything in it, from one store to
// another while it is used.
//
//	store, err := switching.New(home, switching.Config{Node: node, Registry: prefix}, opener)
//	tail := kvstore.NewTail(store)
//	go tail.Run(ctx)    // the one feed; the Store knows by it what the other nodes know
//	go store.Run(ctx)   // answers for this node in moves, and carries out its own
//	status, err := store.Start(ctx, to)
//
// A move is a [Record] under [Key] of the store that is left, which every node's feed shows:
//
//	copying ──▶ pausing ──▶ sealed ──▶ moved
//	   │  ▲────────┘ │         │
//	   └─────────────┴─────────┴─────▶ aborted
//
// While it is copying, one node brings every key and every change of one into the new store,
// which does not publish yet. Pausing, every node lets its writes wait and says so. What was
// written before the record said sealed is copied to the last entry and verified; then one
// conditional write makes it moved. Until that write anybody may make it aborted instead,
// and everything goes on where it was.
//
// # Guarantees
//
//   - Every write that was acknowledged is in the store that the nodes use then, once,
//     whether a move succeeded, failed, or was interrupted by the end of any process.
//   - A write of a process that was stopped and wakes up after the move, and that reaches
//     the store that was left, is not acknowledged: it is answered as a conflict, to be
//     decided again from the new store.
//   - Reads and feeds go on throughout. Revisions of the new store are greater than those
//     of the old one, and its epoch is.
//
// # How a late write is told
//
// No store refuses a late write by itself: a stream's configuration is not ordered with its
// messages where it is replicated. So the acknowledgement decides and not the sending. While
// a move is under way, an acknowledgement counts only when the node's feed has passed the
// write without having seen the seal before. A node that has not seen the beginning of the
// move cannot have had a message of its own come back which was sent later; so whoever has
// not had one within [fresh] does the same. The record is sealed only when every node that
// was alive has said that it pauses, or when fresh has passed since the beginning.
//
// # Not guaranteed
//
//   - That an acknowledgement arrives while no feed of the node runs for longer than fresh.
//   - Anything where two nodes that share a store have one name.
package switching
