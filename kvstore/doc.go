// Package kvstore is the port of the store: bytes under keys, every change of which has
// one revision in one order.
//
// A [Store] is written to at an expected revision and followed by a feed. [Tail] runs
// the one feed that a process needs and hands each change, in order, to those who
// subscribed to its key's prefix.
//
// # Guarantees
//
//   - A write at an expected revision happens only if that is the key's newest revision,
//     removals included.
//   - A feed shows each key's newest state, in order of revision, and says when single
//     changes may have been missed; it then shows everything afresh.
//   - [ErrUnknownOutcome] is the only error after which a write may have happened.
//
// # Not guaranteed
//
//   - That a feed shows states that were superseded while it was behind.
//   - That revisions go on where they were after the store was lost; the feed then starts
//     afresh with another [Generation].
package kvstore
