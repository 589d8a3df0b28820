// Package faults drives a registry of several nodes with mixed load while something goes
// wrong, takes down everything that each client saw, and judges it afterwards.
//
//	d := faults.External(t, 3, 3) // or faults.Embedded(t, 3)
//	faults.Run(t, d, faults.Plan(seed, 10*time.Minute, faults.All()))
//
// A [Plan] follows from its seed. What the clients do does, too, but for its timing: a run
// that is repeated meets the same faults, in the same order, at about the same moments.
//
// What is deployed is a [Deployment], so that the same faults can be driven at another.
package faults
