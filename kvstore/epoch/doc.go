// Package epoch numbers the lives of a store, so that revisions and tokens of a store
// that was lost, re-created, rolled back or restored are never taken for those of the one
// before.
//
// A [Guard] follows the store's key [Key] and what its node remembers in a [Memory]. A
// store that is new, that was made anew, or that has fallen behind what the node
// remembers gets a higher epoch, written by compare-and-swap, before the Guard says that
// any epoch is current.
//
//	guard, err := epoch.NewGuard(store, epoch.File(path), opts...)
//	tail.Subscribe(epoch.Key, guard)   // before those who serve
//	go guard.Run(ctx)                  // under supervision
//	n, ok := guard.Current()
//
// # Guarantees
//
//   - Epochs of one store only grow, for whoever follows it and across all nodes that
//     remember.
//
// # Not guaranteed
//
//   - That a store is recognised as rolled back when the memory was rolled back with it,
//     or when, while no node was connected, its revisions have outgrown every memory. Start once with
//     [WithRaise] after such a restore.
package epoch
