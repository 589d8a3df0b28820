package kvstoretest

import (
	"testing"

	"github.com/roostbus/roost/kvstore"
)

// Profile says what one implementation is excused from. Every field is an excuse, so the
// zero Profile runs the whole contract.
type Profile struct {
	// SlowExpiry excuses a store that forgets a marker up to a minute late from the
	// clauses that wait for it.
	SlowExpiry bool
}

type clause struct {
	name  string
	check func(t *testing.T, store kvstore.Store)
	waits bool // for a marker to be forgotten
}

// Run checks the contract against fresh, empty stores made by open. open registers its
// own clean-up on t.
func Run(t *testing.T, p Profile, open func(t *testing.T) kvstore.Store) {
	t.Helper()
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.waits && p.SlowExpiry {
				t.Skip("excused: SlowExpiry")
			}
			c.check(t, open(t))
		})
	}
}

var contract = []clause{
	{name: "GetOfAKeyThatNeverWasIsErrNotFound", check: getAbsent},
	{name: "GetReturnsWhatWasWritten", check: getReturnsTheWrite},
	{name: "RevisionsAreOneSequenceOverAllKeys", check: oneSequence},
	{name: "AWriteAtAnotherRevisionIsErrConflictWithTheCurrentEntry", check: conflictShowsCurrent},
	{name: "ARemovalLeavesAMarkerWithARevisionThatMustBeExpected", check: markersCount},
	{name: "AMarkerIsForgottenAfterItsKeepAndTheKeyIsThenAtZero", check: markerExpiry, waits: true},
	{name: "OfFiftyConcurrentWritesAtOneRevisionExactlyOneHappens", check: oneWinner},
	{name: "ARepeatedOperationReturnsTheRevisionItMade", check: repeat},
	{name: "ARepeatedOperationThatWasOverwrittenIsErrConflict", check: overwrittenRepeat},
	{name: "AnotherWriteUnderTheSameOperationIsErrConflict", check: sameOperation},
	{name: "TheStoreDoesNotKeepTheCallersBytes", check: callersBytes},
	{name: "AMalformedWriteIsErrInvalid", check: malformed},
	{name: "AValueBeyondTheLimitIsErrTooLarge", check: tooLarge},
	{name: "ABatchAppliesAllWithRevisionsInARow", check: batchApplies},
	{name: "ABatchWithAConflictInTheMiddleAppliesNothing", check: batchConflict},
	{name: "ABatchOfTheGreatestSizeIsTaken", check: greatestBatch},
	{name: "ABatchBeyondTheGreatestSizeOrWithAKeyTwiceIsErrInvalid", check: badBatch},
	{name: "AnEmptyBatchIsNothing", check: emptyBatch},
	{name: "ARepeatedBatchReturnsTheRevisionsItMade", check: repeatBatch},
	{name: "OfConcurrentBatchesOverTheSameKeysExactlyOneHappens", check: oneBatchWins},
	{name: "ABatchMayRemove", check: batchRemoves},
	{name: "EachOfManyWritesHappensOrFailsByItself", check: eachByItself},
	{name: "ManyWritesSideBySideHaveARevisionEach", check: manyOfEach},
	{name: "ARepeatedOperationAmongManyReturnsTheRevisionItMade", check: eachRepeated},
	{name: "NoneOfManyWritesHappensAfterCloseOrWhenCancelled", check: noneOfEach},
	{name: "BarrierReturnsARevisionAboveEveryAcknowledgedWrite", check: barrierIsNewer},
	{name: "InfoTellsTheNewestRevisionAndTheNumberOfKeys", check: info},
	{name: "ACancelledCallIsErrUnavailable", check: cancelled},
	{name: "ACallAfterCloseIsErrClosed", check: closed},
	{name: "ScanShowsEntriesAndMarkersAsGetDoes", check: scanShows},
	{name: "ScanFindsByTokensAndEachKeyOnce", check: scanPatterns},
	{name: "ScanOfNothingIsEmpty", check: scanNothing},
	{name: "ScanWaitsForTheRevisionItMustReach", check: scanWaits},
	{name: "ScanOfAMalformedPatternIsErrInvalid", check: scanBad},
	{name: "ScanEndsWithItsContextAndWithClose", check: scanEnds},
	{name: "ScanShowsManyKeysWhole", check: scanMany},
	{name: "ScanSkipsNothingWhileOthersWrite", check: scanFewUnderLoad},
	{name: "ScanOfManyKeysSkipsNothingWhileOthersWrite", check: scanManyUnderLoad},
	{name: "FeedOfAnEmptyStoreGoesLiveAtZero", check: feedEmpty},
	{name: "FeedShowsTheNewestStateOfEveryKeyThenChanges", check: feedSnapshot},
	{name: "FeedIsLiveOnlyOnceEverythingWrittenBeforeIsShown", check: feedComplete},
	{name: "FeedShowsMarkersWithTheirValueAndLabels", check: feedMarkers},
	{name: "FeedNeverGoesBackWithinAKeyAndEndsAtTheLastState", check: feedUnderLoad},
	{name: "FeedReturnsItsContextsError", check: feedEnds},
	{name: "FeedEndsWithErrClosedOnClose", check: feedCloses},
	{name: "TailBarrierReflectsEveryAcknowledgedWrite", check: tailBarrier},
	{name: "CellKeepsATypedValueAtARevision", check: cell},
}
