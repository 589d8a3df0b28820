// Package memory is a Backend in one process that keeps nothing: for embedding, for
// tests, and as the oracle that other backends are compared with.
//
//	b := memory.New(backend.Nobody)
//	defer b.Close()
//	r, _, err := b.Register(ctx, registration, backend.Write{If: backend.IfAbsent()})
//
// # Guarantees
//
//   - All of the contract of [backend.Backend], atomic batches included. Every read sees
//     every write that was acknowledged before it: Stamp.Age is 0.
//
// # Not guaranteed
//
//   - Anything after the process ends. Revisions begin at 1 in an epoch that is later than
//     that of a process started before.
//
// # Concurrency
//
// Writes take turns; reads do not wait for them.
package memory
