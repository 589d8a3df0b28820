// Package journal records what happened to a store: every change that a feed shows, for as
// long and as much as there is room for.
//
//	recorder := journal.NewRecorder(log, guard, journal.WithPrefixes("event.", "announce."))
//	tail.Subscribe("", recorder)
//	go recorder.Run(ctx)               // under supervision
//
// Every node of a store runs a [Recorder] on one [Log]. An append names the place that it
// goes behind, so each change is recorded once and in order, whoever is faster. One node
// goes first; the others hold what they have seen back for a while and then find that it is
// recorded, or record it themselves.
//
// # Guarantees
//
//   - Records are in the order of changes, each change once, however long a node was down.
//   - A feed is never kept waiting: what a Recorder cannot hold it drops and counts.
//   - Where changes may be missing there is a record that says so, a [Gap], with the
//     revisions between which.
//
// # Not guaranteed
//
//   - States that were superseded while no node followed. The store keeps one entry a key.
//   - Anything while the Log cannot be written for longer than a Recorder can hold.
package journal
