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
// # Leases and sessions
//
// What is to vanish with this process is registered with a lease. A [Session] is a lease
// that comes back, and what was registered through it with it:
//
//	s, err := c.NewSession(ctx, client.SessionOptions{})
//	defer s.Close(ctx)
//	r, _, err := s.Register(ctx, client.Registration{ … }, client.Write{})
//
// A [Lease] alone ([Client.Grant], and [Lease.Owner] as the Owner of a [Write]) ends once
// and for all. While this process lives and reaches the registry no lease ends; an outage of
// the registry or of NATS ends none.
//
// [Lease.Valid] is what this process knows by itself: while it is true nobody else can have
// been given what belongs to the lease. It asks nobody, and it may be false although the
// lease lives. So check it before each thing that only the holder may do, or do it under
// [Lease.Context], and stop when it is false; go on when it is true again, because only
// [Lease.Done] is the end. A mere registration needs none of this.
//
// Valid goes by the monotonic clock, which runs on while the process is stopped (SIGSTOP, a
// debugger), but on most systems not while the whole machine is suspended; and by the end of
// the connection as this side sees it, which something between may hide. Between a Valid and
// the deed that it allows any time may pass, too. What must never be done twice is written
// on a condition ([IfRevision]), or to something that refuses who comes late.
//
// # Coordination
//
// With a lease programs elect a leader ([Client.Election]), exclude each other
// ([Client.Lock], [Client.Semaphore]), wait for each other ([Client.Barrier]) and decide
// together ([Client.Proposals], [Voter]); [Client.Counter] needs none. [Client.Singleton] has
// one of a fleet run something, and package fenced keeps a bucket from leaders that lead no
// more:
//
//	err := c.Lock("default", "invoices").Do(ctx, lease, client.LockOptions{},
//		func(ctx context.Context, token client.Token) error {
//			return store.Save(ctx, invoice, token) // which refuses an earlier token
//		})
//
// What waits for its turn goes on waiting whatever becomes of the registry and of NATS, and
// what was given up while it waited is not left in a queue. But a hold is never more certain
// than its lease, and a lease never more certain than this process is awake: what must not
// be done by two is to be done where the [Token] is checked.
//
// # Guarantees
//
//   - A lease is granted at most once for each call, whatever is lost on the way, and lives
//     until it is revoked or nobody has kept it alive.
//   - A lease is not Valid any more when the registry could give away what belongs to it, if
//     its keeper and this process measure time at the same rate.
//   - What a Session has been asked to register is registered, or tried again for ever, or
//     its hook has been told why not.
//   - A context of a lease, a hold or a leadership ends before the registry could give to
//     another what it is for, if the process is awake and an operator does not interfere.
//   - Of one lock, semaphore or election tokens only grow, also where the registry's store
//     was lost.
//   - [Election.Observe] shows only what was committed, never goes back within an epoch, and
//     misses no term in absences of up to 16.
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
//   - That only one process acts as holder or leader at one instant; see [Token].
//   - That [Client.Watch] can continue from any earlier revision; see there.
//
// # Concurrency
//
// A Client is safe for concurrent use. What it returns in pages and events is shared
// with nobody else, but is best read only, as with any Backend.
//
// A Client starts no goroutine before it is granted a lease. While it holds leases it has
// two, which keep all of them alive with one message and listen to the connection; they end
// with the last lease, and Close waits for them. A Session has one, and so has a Leadership
// until its term is over. Handlers that the user has set on the connection stay.
package client
