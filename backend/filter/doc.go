// Package filter compiles the filter expressions of queries.
//
//	match, err := filter.Compile(`metadata.region in ["eu-west", "eu-north"] && metadata.limits.rps >= 100`)
//	if match(&registration) { … }
//
// An expression is a boolean one in the language of github.com/expr-lang/expr over
// namespace, service, instance, status, weight, endpoints (name to URI) and metadata.
//
// # Guarantees
//
//   - What metadata does not have, or has as another type, makes the comparison it stands
//     in false and is never an error; != is the opposite of ==, so it is then true.
//   - Numbers compare as numbers; whole ones of 64 bits exactly.
//   - Evaluation depends on the registration alone and takes a time that is bounded by
//     its size: there are no nested loops, no variables, no ranges, no clock; a list of
//     more than 4096 elements is not gone through, and a string of more than 4096 bytes
//     matches no pattern.
//
// # Not guaranteed
//
//   - The whole of the expr language. A query's Where is faster: it uses an index.
//
// # Concurrency
//
// A [Filter] and a [Cache] may be used from any goroutine.
package filter
