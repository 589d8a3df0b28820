// Package memkv is a kvstore.Store in memory.
//
// It keeps time only through package time, starts no goroutine and lets nothing block, so
// it is fit for testing/synctest. Like the bucket that it stands for it has one sequence
// over all keys, keeps each key's newest entry only, gives markers revisions, and forgets
// a marker after its Keep without telling anybody.
//
// A feed that is slow sees only the newest state of what changed meanwhile, so a Store
// holds no more than its entries.
//
// The methods of faults.go make it fail in the ways in which a real store does.
package memkv
