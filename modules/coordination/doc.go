// Package coordination provides the node's part in the election of the keeper, and the engine
// of elections, locks, semaphores, barriers and proposals.
package coordination
