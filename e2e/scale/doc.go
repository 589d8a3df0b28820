// Package scale measures how a node carries what few have: a million registrations, a
// hundred thousand leases, a thousand followers. Its tests verify what they measure and
// take about twenty minutes and 10 GB of memory: make scale. They have the build tag
// "scale".
//
// # Not guaranteed
//
//   - That a figure is comparable with another machine's. What is to be compared is in
//     one run of `roost bench`.
package scale
