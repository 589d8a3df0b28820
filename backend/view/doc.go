// Package view is a table of registrations in memory: indexed, watchable, and ordered
// by revision. It decides nothing and keeps nothing. A feeder tells it what a store
// said; readers ask it.
//
//	v := view.New(epoch)
//	v.Apply(42, view.Change{Registration: &r, Kind: backend.Registered, Revision: 42})
//	r, stamp := v.Lookup(key)
//
// There are three feeders: the memory backend, the feed of a store, and the client's
// local copy. Each applies changes one by one, says how far it has come, reports owners
// whose lease has ended, and after every doubt collects a new snapshot beside the old
// one with [View.Rebuild].
//
// # Guarantees
//
//   - What a read returns takes into account every change up to the revision of its
//     [backend.Stamp].
//   - Nothing of an owner whose lease has ended is returned from the ending on.
//   - A [View.Watch] yields every change after its starting revision, or says with a
//     Gap that single ones were merged, or ends with [backend.ErrCompacted].
//   - A wait wakes when its own key appears, or something in its own scope changes, and
//     costs no goroutine and no poll.
//   - No reader holds up the feeder for longer than it takes to copy one batch of
//     pointers; a slow watcher holds it up for nothing.
//   - The page of one whole service is the same *backend.Page until something in that
//     service changes.
//
// # Not guaranteed
//
//   - That one page of a filtered list, or two pages, show one instant: each entry is
//     at least as new as the stamp, some may be newer.
//
// # Concurrency
//
// Every method may be called from any goroutine. Feeders take turns; the changes of a
// key must arrive in order unless they carry their revisions, by which the newest wins.
// Look-ups take no lock.
package view
