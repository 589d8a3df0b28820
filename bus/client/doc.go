// Package client is the Go side of a Roost registry: the one package that a Go user
// imports. A [Client] is a backend.Backend at the far end of a NATS connection.
//
//	c, err := client.Connect(ctx, "nats://127.0.0.1:4222")
//	defer c.Close()
//	r, _, err := c.Register(ctx, client.Registration{
//		Key:       client.Key{Namespace: "default", Service: "payments", Instance: "i-1"},
//		Endpoints: client.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080"}),
//	}, client.Write{})
//	page, _, err := c.List(ctx, client.Query{Scope: client.Scope{Namespace: "default", Service: "payments"}})
//
// # Guarantees
//
//   - A Client reads its own writes, whichever node answers, unless
//     [WithoutReadYourWrites] says otherwise.
//   - An error matches what it would match in the server's own process, with errors.Is
//     and errors.As. An error other than ErrUnknownOutcome means that a write was not
//     done.
//   - A write is done at most once, however often it had to be sent: every sending
//     carries the same request id, and one that follows a lost reply is refused by the
//     registry where it cannot tell whether an earlier one was done.
//   - A registry that cannot be reached is ErrUnavailable, never an empty list.
//   - Metadata comes back byte for byte.
//
// # Not guaranteed
//
//   - That a read shows what others have written, unless it asks for Linearizable or a
//     minimum revision.
//   - That a request which a stopped process or a stalled network holds back is not
//     executed after the call returned. Where that matters, write with IfRevision: such
//     a write cannot be late.
//   - That [Client.Watch] can continue from any earlier revision; see there.
//
// # Concurrency
//
// A Client is safe for concurrent use. What it returns in pages and events is shared
// with nobody else, but is best read only, as with any Backend. It starts no goroutine
// of its own; NATS connections do.
package client
