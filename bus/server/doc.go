// Package server answers the requests of the bus from a [backend.Backend], as a NATS
// micro service.
//
//	s, err := server.New(nc, b, server.DefaultConfig())
//	…
//	err = s.Run(ctx) // serves until ctx is done, then finishes what is in hand
//
// [WithCoordination] has it answer requests about elections, locks, semaphores, barriers,
// proposals and counters, too.
//
// [Leases] answers what is asked about leases, while the node is the keeper. Its
// subscriptions are plain ones beside the service, which `nats micro info` does not show.
//
// # Guarantees
//
//   - What a request asks is what the Backend is asked: the server adds nothing, keeps
//     nothing and decides nothing.
//   - One slow request holds up no other. Beyond [Config.MaxInFlight] requests are
//     refused at once; health is always answered. Requests that wait for a change are
//     bounded apart, by [Config.MaxWaiting], and end when the server stops.
//   - Every request with a reply subject gets one reply, which fits the NATS server's
//     max_payload, whatever happens to it: a panic is an internal error.
//     Only one about leases may get none, where an answer would be worth nothing.
//   - Nothing is ever sent to a reply subject of NATS itself ("$…") or under the
//     registry's own prefix.
//
// # Not guaranteed
//
//   - That requests of one client are answered in the order in which they were sent.
package server
