// Package observed counts and times what is asked of another Backend.
//
//	b := observed.New(inner)
//	for _, op := range b.Operations() {
//		fmt.Println(op.Name, op.Count, op.Errors, op.P50, op.P99)
//	}
//
// # Guarantees
//
//   - Answers and errors are those of the Backend within, abilities included.
//   - A quantile is at most a sixteenth above the true one of all calls so far.
//
// # Concurrency
//
// Counting takes no lock.
package observed
