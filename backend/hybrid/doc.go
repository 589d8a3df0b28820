// Package hybrid is the usual Backend of a node: its writes go to a store, by package
// durable, and its reads come from a view in memory that the store's feed keeps.
//
//	tail := kvstore.NewTail(store)
//	b := hybrid.New(store, tail, guard, leases)
//	go tail.Run(ctx)
//	err := b.Ready(ctx)
//
// # Guarantees
//
//   - A read is answered from everything up to the revision of its stamp, and from
//     nothing that the stamp does not say.
//   - Before the first snapshot is complete, and while the store's epoch is being
//     decided, every call is backend.ErrUnavailable: it never answers from half of what
//     there is.
//   - When the feed may have missed something a new snapshot is collected beside the old
//     one, which goes on answering; watchers are told the difference.
//
// # Not guaranteed
//
//   - That a local read shows a write that this node has just acknowledged. Ask with its
//     revision.
package hybrid
