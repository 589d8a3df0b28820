// Package backend is the port of the registry: what a registration is, how one
// is named, asked for and changed, and the one interface, [Backend], that keeps
// them.
//
//	b := memory.New(backend.Nobody)
//	r, _, err := b.Register(ctx, backend.Registration{
//		Key:       backend.Key{Namespace: "default", Service: "payments", Instance: "i-1"},
//		Endpoints: backend.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080"}),
//	}, backend.Write{If: backend.IfAbsent()})
//
// Everything that stores, caches, indexes, counts, serves or moves registrations
// implements Backend or wraps one. Package backendtest is the contract in the
// form of tests; an implementation is whatever passes it.
//
// # Guarantees
//
//   - Every committed change has one [Revision]; revisions only grow within an [Epoch].
//   - Of concurrent registers of one free name by different owners, or with
//     [IfAbsent], exactly one succeeds.
//   - An error says how certain it is: [ErrUnknownOutcome] means that a write may or
//     may not have happened; any other error means that it did not.
//   - No failure shows as an empty or shortened list.
//
// # Not guaranteed
//
//   - That a read shows the newest state, unless [Linearizable] or a minimum revision
//     was asked for. The [Stamp] of an answer says how old it can be.
//
// # Concurrency
//
// Values of this package are plain data. A Registration, Page or Event handed out by
// a Backend is shared: read it, copy it, do not change what it points to.
package backend
