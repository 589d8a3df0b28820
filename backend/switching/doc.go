// Package switching is a Backend that can be exchanged for another one on the same store
// while it is used: one that reads from a view for one that asks the store, or back.
//
//	b := switching.New(hybrid.New(…))
//	err := b.Exchange(durable.New(…))
//
// How the store itself is exchanged is the business of package kvstore/switching, below
// every Backend.
//
// # Guarantees
//
//   - Every answer is that of one of the two. A call that the one before ends because it is
//     closed is made again of the next: nothing was done.
//   - A watch goes on where it was. Where the next Backend does not remember that far it ends
//     with backend.ErrCompacted, as any watch may.
package switching
