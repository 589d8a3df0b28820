// Package history records what happens to the registry and to objects of coordination.
package history
