// Package supervision runs the long-running tasks of a process as one tree.
//
// A module hands a task over as a named [Service] in the fx value group "services". fx
// starts and stops the tree, and nothing else does.
//
// # Guarantees
//
//   - A service that returns, fails or panics before it is told to stop is started again,
//     after a pause that grows from 50 ms to 5 s.
//   - The tenth failure of one service within 60 seconds ends the process with exit code 1.
//   - The services' context is the tree's own: it ends when they are to stop, and not when
//     fx's start hook is over.
//   - Services stop stage by stage; see [Stage].
package supervision
