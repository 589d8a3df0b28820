// Package follow is the rule by which whoever follows a registry ends with exactly its
// state, although events are published at most once: section 5 of the protocol, as a
// state machine without input and output. The client's Watch and Replica are kept by it.
//
//	f := follow.New()
//	for {
//		if request, want := f.Wanted(); want {
//			answer, err := list(request)            // of all pages
//			outcome := f.Merge(answer, held, now)   // or Compacted, or Failed
//			…                                       // take in what it says
//			continue
//		}
//		switch f.Event(next(), now) {
//		case follow.Apply:
//			…                                       // take in the event
//		}
//	}
//
// Whoever keeps state by it tells it of every event in scope, of every beacon, and with
// [Follower.Doubt] and [Follower.Reconnected] of every reason to think that an event was
// lost. It says what to take in, and which list to make.
//
// # Guarantees
//
//   - Of a key nothing is taken in that is older than what was taken in before, within an
//     epoch.
//   - Once [Follower.Wanted] wants nothing, and no event was lost after the newest doubt,
//     what was taken in is exactly the registry's state.
//   - A list that the rule asks for to settle a doubt is linearizable: an answer from a
//     node that lags behind the lost event would settle nothing.
//
// # Not guaranteed
//
//   - That an event of an earlier epoch is told from one of the current: events carry no
//     epoch. Discard what arrived before the answer that begins an epoch.
//
// # Concurrency
//
// A Follower is used by one goroutine at a time. Lists may be answered late and in any
// order.
package follow
