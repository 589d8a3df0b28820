// Package coordination has the objects that programs coordinate through: elections, locks,
// semaphores, barriers and proposals, each a record and the transitions that it may make.
//
// A transition is a function of the record and of a [Turn]; it knows no clock and does no
// I/O, and leaves the record that it was given as it is. Whoever stores records applies a
// transition to what is stored and writes the result, if nobody was faster.
//
//	next, standing, err := election.Campaign(turn, coordination.Candidate{Owner: owner})
//
// # Guarantees
//
//   - The tokens of one object only grow, and each is given in one transition.
//   - Whoever's lease has ended holds nothing, leads nothing, waits for nothing and counts
//     for nothing in what a transition returns.
//   - Among equals the first to come is the first to be served.
package coordination
