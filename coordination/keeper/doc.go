// Package keeper elects the one node of a registry that holds the lease clock.
//
// The keeper is whoever wrote the record under [Key] last and has renewed it since.
// Everybody else watches the record through the node's own feed.
//
//	k, err := keeper.New(store, tail, keeper.Self{Node: "roost-1", Place: id}, opts...)
//	go tail.Run(ctx)
//	go k.Run(ctx) // under supervision
//	if tenure, ok := k.Tenure(); ok { … } // this node is the keeper, in tenure.Term
//
// # Guarantees
//
//   - At most one node is entitled at one instant: a keeper is for [Validity] from the
//     sending of its newest renewal that succeeded, and its successor not before as much
//     time has passed since it saw that renewal.
//   - Terms only grow within one epoch of the store. An entitlement that has lapsed, for
//     however short a time and whether or not somebody else took over, never comes back:
//     the node begins anew, with another term.
//   - A node that cannot hear the others, or was itself stopped, takes nobody's silence
//     for an absence: it must first have seen a message of its own come back.
//   - What [Keeper.Fenced] writes happens only while nobody has taken over, however late
//     it arrives.
//   - A keeper that stops in order hands over at once, and so does one that was killed, to
//     the next process of its node in its place.
//
// # Not guaranteed
//
//   - Entitlement says nothing of the instant after it was asked for: a process may be
//     stopped between asking and acting. What must not happen under two keepers goes
//     through Fenced.
//   - That the first does not hold across lives of the store: where the bucket was deleted,
//     a process that starts within [Validity] of it may be entitled in the new one beside
//     the keeper of the old one, which does not yet know.
//
// # Clocks
//
// Only differences on one machine's monotonic clock are used. It may be wrong and must not
// stand still while another's goes on, as that of a suspended virtual machine does;
// Fenced holds there too.
package keeper
