// Package durable keeps registrations in a [kvstore.Store].
//
// [Backend] answers from the store itself: every read asks it.
//
//	tail := kvstore.NewTail(store)
//	b := durable.New(store, tail, guard, leases)
//	go tail.Run(ctx)
//	err := b.Ready(ctx)
//
// [Writer] and [Feed] are shared by every Backend on a store, package hybrid among them, so
// that all of them decide, store and stop serving alike: a registration lies under "event."
// and its key as the JSON that its event carries, a removal leaves a marker with the last
// registration behind for [MarkerLife].
//
// # Guarantees
//
//   - A write happens only on the state that it was decided from.
//   - A refusal, and an answer that nothing was to be done, is given only after every
//     change acknowledged before the call has been seen.
//   - backend.ErrUnknownOutcome is the only error after which a write may have happened.
//   - A read is answered by a server that has come at least as far as this node's feed, of
//     the epoch that the answer bears. So its age is no more than that of the feed, which
//     an echo measures, whichever server answers. A linearizable read sends a barrier
//     through the feed before, as hybrid does: a read from the leader may come from a
//     deposed one.
//   - An answer is whole or an error.
//
// # Not guaranteed
//
//   - That a server which was away, and whose own copy of a replicated bucket is catching
//     up, shows everything up to where it says that it has come: what its leader does not
//     have any more is missing there until what replaced it has come, and no answer tells.
//   - That a list of more than a thousand registrations is cheap. Every page of it, and
//     every count, reads all of its scope.
//   - That nothing is held in memory: what is watched or waited for is, once for all who
//     do, and for a moment longer.
//
// # Concurrency
//
// Everything is safe for concurrent use and starts no goroutine that outlives a call.
package durable
