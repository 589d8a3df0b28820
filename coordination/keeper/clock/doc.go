// Package clock is the lease clock: it knows which leases live and decides which have
// ended. Every node has one, and only the keeper's runs.
//
//	c, err := clock.New(store, table, keeper, door, clock.DefaultConfig())
//	go c.Run(ctx) // under supervision; it opens the Door when the node is the keeper
//	beat, ok := c.Touch(owner, connection)
//
// # Guarantees
//
//   - A lease ends no earlier than its TTL after the sending of the last keepalive that was
//     acknowledged, or its grace after its own connection was closed.
//   - It ends within its TTL and 250 ms of the last keepalive received, while one keeper
//     serves whose process and store are not stopped, unless it is held back or the Door
//     does not settle.
//   - An outage, or a change of keeper, ends none: with a tenure all clocks start afresh, and
//     run for [keeper.Validity] longer than the TTL, which is how long an earlier keeper may
//     have acknowledged what this one never heard. A Clock that was itself stopped for more
//     than 250 ms has all clocks stand still meanwhile, and so has one whose NATS did not
//     answer; where that could not be reached all clocks start afresh.
//   - A keeper that was stopped, cut off or replaced acknowledges nothing, and ends nobody:
//     endings go through [keeper.Keeper.Fenced].
//   - What says that a lease has ended has seen its end.
//   - Where more than a share of all leases are silent or suspect their endings are held
//     back, once, for one further TTL each.
//
// # Not guaranteed
//
//   - That a keepalive which was not acknowledged did not count.
//   - That what is suspect or held is known after a change of keeper.
package clock
