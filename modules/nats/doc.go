// Package nats gives the registry its two connections to NATS: to a server inside this
// process, or to one elsewhere.
//
// The embedded server listens for clients, keeps its streams in a directory that it has
// locked, and knows three kinds of connections: the registry's answering one, its writing
// one, and everybody else's; see [Permissions].
//
// # Guarantees
//
//   - Only the writing connection can publish to the registry's bucket, to JetStream, and to
//     the subjects of events, announcements and the beacon; only the answering one hears
//     requests. Neither can be made to do the other's work by the reply subject of a request.
//   - The registry's connections are known by credentials drawn anew at each start, which
//     never leave the process.
//   - One process at a time uses a store directory.
//
// # Not guaranteed
//
//   - Any of the first two with trusted clients, or on a NATS elsewhere, whose accounts its
//     operator sets up.
package nats
