// Package backendtest is the contract of backend.Backend in the form of tests.
//
//	func TestContract(t *testing.T) {
//		backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
//			return mine.New(live)
//		})
//	}
//
// An implementation is whatever passes it. Its clauses are sentences about behaviour;
// a comment above a clause names the promises of docs/guarantees.md that it shows, and
// the suite as a whole shows R9. A bug found in any backend becomes a clause before it is
// fixed.
//
// The suite assumes no more than the interface says: local reads may lag, so every read
// asks for the revision it must reflect or is linearizable; revisions may have holes,
// since a store keeps more than registrations.
//
// # What older registries were asked
//
// The suite of the system that this one replaces asked for the following; beside each
// stands the clause that asks for it here.
//
//	register, conflict returns the holder          RegisterOnAnotherOwnersLiveNameIsErrExistsWithTheHolder
//	register again by the same process             RegisterAgainReplacesWhatTheCallerSays, RegisterByTheSameOwnerReplaces
//	bad or dead process                            AnUnknownOwnerIsErrLeaseExpired
//	bad metadata, in register and update           WhatBreaksALimitIsRefusedByField
//	look-up: found, not found, other namespace     RegisterOfAFreeNameCreatesIt, LookupOfAnAbsentNameIsErrNotFoundWithAStamp, NamespacesAndServicesAreApart
//	look-up after the owner's exit                 FromTheEndOfALeaseNothingOfItIsThere
//	unregister, if absent, repeated                UnregisterRemoves, UnregisterOfAnAbsentNameIsNoError
//	list: empty, all, isolated                     AListOfNothingIsEmpty, AListKeepsToItsScope
//	count: 0, 5, decreases                         CountCountsWhatAListHas
//	clean-up of what a process had                 ManyLeasesEndWithoutTouchingOthers
//	metadata: with, without, nested, exact         MetadataComesBackAsItWentIn
//	update: ok, not found, replace not merge       UpdateReplacesMetadataAndDoesNotMerge, UpdateOfAnAbsentNameIsErrNotFound
//	predicate search                               AFilterSeesEveryPartOfARegistration
//	index on scalars and lists, missing fields     WhereReachesIntoObjectsAndArrays
//	index consistent after updates and removal     WhereIsRightAfterEveryUpdateAndRemoval
//	combined queries                               WhereJoinsItsConditionsByAnd
//	bulk: mixed ok and conflict, in order          ABatchAnswersEachOperationInOrder
//	dead owner replaced, then registered again     ANameLeftByAnEndedOwnerIsTakenAfresh
//	concurrent registers: one owner per key        OfFiftyConcurrentRegistersByDifferentOwnersExactlyOneWins
//	concurrent look-ups agree                      ManyReadersAgree
//	health when empty, counts, statistics          HealthCountsWhatIsThere
//
// Waiting for a service and checks of its health are the business of packages above.
//
// # Concurrency
//
// Run runs clauses at the same time, each on a backend of its own.
package backendtest
