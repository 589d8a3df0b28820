// Package bench measures a registry against bare NATS on the same server, in the same run.
//
// Only ratios of one run mean anything on a shared machine, so each comparison has two
// sides that do comparable work on the same NATS server over the same kind of connection:
// the registry's, and a baseline of nothing but NATS. The sides are driven in turn, in
// short rounds whose order rotates; what is reported is the median over the rounds, and
// the ratios are medians of ratios within a round.
//
// # Processes
//
// The load comes from the process that calls [Run]. The registry is a process of its own,
// with NATS inside it as in production, unless Config.Server says where one is. What the
// baselines need at the other end (an echo, a consumer of a bucket) is a third process,
// which calls [Respond]. So the CPU time of each can be told apart.
//
// # Guarantees
//
//   - Every answer is checked. What is wrong or failed is counted, shown beside the rate
//     that it belongs to, and is no part of it.
//   - Both sides are checked alike, so that checking favours neither.
//
// # Adding a cell
//
// A cell is one file with a [Cell] in it, named in cells.
package bench
