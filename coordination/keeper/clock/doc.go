// Package clock is the lease clock: it knows which leases live and decides which have ended.
// Only the keeper's runs.
package clock
