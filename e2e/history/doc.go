// Package history records what concurrent clients asked of a registry and what they were
// answered, and decides whether one registration behind every key explains it: a history
// that is linearizable.
//
//	h := history.New()
//	h.Do(client, history.Ask{Kind: history.Lookup, Key: "a"}, func() history.Answer { … })
//	for _, violation := range history.Check(h.Records(), time.Minute) { … }
//
// A [Chronicle] and [Judge] are the same for locks, semaphores, elections and counters, what
// is held of which ends with leases.
//
// The decision is package porcupine's. The models are this package's.
package history
