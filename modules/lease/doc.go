// Package lease provides what a node knows of leases, and the clock that counts them while
// the node is the keeper.
package lease
