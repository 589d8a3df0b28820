// Package kvstoretest is the contract of a kvstore.Store: every clause is what some caller
// relies on.
package kvstoretest
