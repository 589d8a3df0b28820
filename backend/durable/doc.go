// Package durable keeps registrations in a [kvstore.Store].
//
// [Writer] makes the writes. It is shared by every Backend on a store, package hybrid
// among them, so that all of them decide and store alike: a registration lies under
// "event." and its key as the JSON that its event carries, a removal leaves a marker with
// the last registration behind for [MarkerLife].
//
// # Guarantees
//
//   - A write happens only on the state that it was decided from.
//   - A refusal, and an answer that nothing was to be done, is given only after every
//     change acknowledged before the call has been seen.
//   - backend.ErrUnknownOutcome is the only error after which a write may have happened.
//
// # Concurrency
//
// A Writer is safe for concurrent use and starts no goroutine that outlives a call.
package durable
