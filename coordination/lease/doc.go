// Package lease keeps what is written of leases: that one was granted, and that it has
// ended. Heartbeats are not written; see package keeper/clock for who counts them.
//
//	table := lease.NewTable(tail) // before the Backend, so that it hears of an ending first
//	go tail.Run(ctx)
//	if table.Lives(owner) { … }
//
// # The life of a record
//
//	(nothing) ──grant──▶ live ──end──▶ ended ──nothing is left of it──▶ marker ──▶ (nothing)
//
// An ended lease stays in the store while anything of it does, and its marker for
// [Remembered] after that. A secret is never granted twice meanwhile.
//
// # Guarantees
//
//   - An ending has one revision, in the one order of the store, and every node is told of
//     it at that place: whoever was told before a later change was applied.
//   - [Table.Lives] is true only of a lease that was granted and whose end this node has
//     not seen.
package lease
