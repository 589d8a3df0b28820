// Package bustest runs a whole registry inside a test: an embedded NATS server with
// JetStream, and on it what `roost serve` runs. What a program sees of it over NATS is the
// real thing.
//
//	r := bustest.Start(t)
//	c := r.Client(t)       // or give the program under test r.URL()
//	r.EndLease(t, owner)   // what its process would see had it been silent for too long
//	r.Stop(t)              // NATS and the registry are away …
//	r.Restart(t)           // … and back, with everything that they had
//
// # Guarantees
//
//   - When Start returns every request is answered, also those about leases, elections,
//     locks and the other objects of coordination.
//   - A write that was acknowledged, and a lease that was ended with EndLease, show in every
//     read from then on, so that a test need not wait for what it has arranged. (Of a
//     registry with several nodes that is true of Linearizable reads alone.)
//   - Events are those that JetStream publishes, and a lease whose connection was closed
//     ends within its grace.
//   - Registries of one process share nothing. Any number of tests may each have theirs,
//     in parallel.
//   - When the test's clean-up is over no goroutine, file or port is left.
//
// # Not guaranteed
//
//   - Permissions: every client may do everything, also what `roost serve` forbids.
//   - That a read shows what an event has told of: it may be there some moments later.
//   - That what was written survives a crash of the machine.
//   - That many leases which lose their connections at once end within their grace:
//     ten or more that are over 30 % of all are held back for a further TTL, as by any
//     registry. EndLease ends a lease nonetheless.
//
// # Concurrency
//
// All methods may be called from any goroutine that may call the FailNow of its tb.
package bustest
