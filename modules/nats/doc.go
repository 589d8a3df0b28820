// Package nats gives the registry its two connections to NATS, to a server inside this
// process or to one elsewhere, and tells which connections of clients are closed.
//
// The embedded server listens for clients, keeps its streams in a directory that it has
// locked, and knows four kinds of connections: the registry's answering one, its writing
// one, the one in the system account, and everybody else's; see [Permissions]. A server
// elsewhere has a system account of its own, which needs credentials of its own.
//
// # Guarantees
//
//   - Only the writing connection can publish to the registry's bucket, to JetStream, and to
//     the subjects of events, announcements and the beacon; only the answering one hears
//     requests. Neither can be made to do the other's work by the reply subject of a request.
//   - [Link.Events] tells of closed connections what servers say in the system account, where
//     no client can say anything.
//   - The registry's connections are known by credentials drawn anew at each start, which
//     never leave the process.
//   - One process at a time uses a store directory.
//
// # Not guaranteed
//
//   - The first with trusted clients, and any but the last on a NATS elsewhere, whose accounts
//     its operator sets up.
//   - That every closed connection is told of: nothing is while the connection in the system
//     account is lost, nor when a whole server ends.
package nats
