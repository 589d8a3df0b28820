// Package bus is the vocabulary of Roost's wire: its subjects, headers, messages and
// error codes, as docs/protocol.md describes them. It sends and receives nothing; the
// server is bus/server, the client bus/client.
//
//	s, err := bus.NewSubjects(bus.DefaultPrefix)
//	s.Register(key)   // roost.v1.registry.register.default.payments.i-1
//
// # Guarantees
//
//   - Subjects are built from validated names only; parsing is strict.
//   - A code never changes its meaning. An error that is sent and received matches the
//     same sentinel, with errors.Is, on both ends, and carries the same details.
package bus
