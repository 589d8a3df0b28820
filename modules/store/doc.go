// Package store provides the store that a node keeps everything in: a bucket of NATS, or
// memory, with the one feed that follows it and the guard of its epoch.
package store
