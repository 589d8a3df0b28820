package e2e_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/lease"
)

var surely = backend.Read{Consistency: backend.Linearizable}

// TestWhoHasSeenTheEndOfALeaseShowsNothingOfIt shows R3 with the lease table of a node.
func TestWhoHasSeenTheEndOfALeaseShowsNothingOfIt(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		w.grant(t, "a")
		w.grant(t, "b")
		dead, stamp := mustRegister(t, w.first(), "1", "a")
		mustRegister(t, w.first(), "2", "b")
		_, last := mustRegister(t, w.first(), "3", "")
		listsOnly(t, w.second(), backend.Read{MinRevision: last.Revision}, "1", "2", "3")
		heard := followed(t, w.second(), last.Revision)
		synctest.Wait()

		ended := w.end(t, "a", backend.ReasonClosed)
		for _, b := range []reaping{w.first(), w.second()} {
			listsOnly(t, b, backend.Read{MinRevision: ended}, "2", "3")
			if _, _, err := b.Lookup(t.Context(), dead.Key, backend.Read{MinRevision: ended}); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("Lookup = %v; want ErrNotFound", err)
			}
			if n := b.Owned("a"); n != 1 {
				t.Errorf("%d registrations are stored of a; want 1", n)
			}
		}
		changes := func(b reaping, since backend.Revision) []backend.Removed {
			page, _, err := b.List(t.Context(), backend.Query{Since: &since, Read: surely})
			if err != nil {
				t.Fatal(err)
			}
			return page.Removed
		}
		want := []backend.Removed{{Key: dead.Key, Revision: ended, Reason: backend.ReasonClosed}}
		if got := changes(w.second(), last.Revision); !slices.Equal(got, want) {
			t.Errorf("since the end %+v is removed; want %+v", got, want)
		}
		if left, err := w.first().Reap(t.Context(), backend.Ending{Owner: "a", Reason: backend.ReasonClosed}); left != 0 || err != nil {
			t.Errorf("Reap = %d, %v; want nothing left", left, err)
		}
		listsOnly(t, w.second(), surely, "2", "3")
		events := heard()
		if len(events) != 1 || events[0].Kind != backend.Expired || events[0].Reason != backend.ReasonClosed ||
			events[0].Revision != ended || events[0].Previous != stamp.Revision {
			t.Errorf("a watch has seen %+v; want expired at %d, once", events, ended)
		}
		for _, n := range []*leaseNode{w.one, w.two} {
			if void := n.heard(w.kind); len(void) != 0 {
				t.Errorf("void is something of %q; want nothing", void)
			}
		}
	})
}

// TestANameLeftByAnEndedLeaseIsReplacedInOneWrite shows the owner rules of the protocol.
func TestANameLeftByAnEndedLeaseIsReplacedInOneWrite(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		w.grant(t, "a")
		w.grant(t, "b")
		_, stamp := mustRegister(t, w.first(), "1", "a")
		heard := followed(t, w.first(), stamp.Revision)
		synctest.Wait()
		ended := w.end(t, "a", backend.ReasonExpired)
		next, _ := mustRegister(t, w.second(), "1", "b")
		if next.CreatedRevision != next.Revision || next.Owner != "b" {
			t.Errorf("registered as %+v; want it created afresh for b", next)
		}
		if left, err := w.first().Reap(t.Context(), backend.Ending{Owner: "a"}); left != 0 || err != nil {
			t.Errorf("Reap = %d, %v; want nothing left", left, err)
		}
		listsOnly(t, w.first(), surely, "1")
		events := heard()
		if len(events) != 2 || events[0].Kind != backend.Expired || events[0].Revision != ended ||
			events[1].Kind != backend.Registered || events[1].Reason != backend.ReasonReplaced || events[1].Revision != next.Revision {
			t.Errorf("a watch has seen %+v; want expired at %d, then registered at %d because it replaced", events, ended, next.Revision)
		}
	})
}

// TestWhatIsWrittenUnderALeaseThatHasEndedIsVoidAndFound covers a node that lags: it takes a
// lease for living whose record is forgotten already, and its write succeeds.
func TestWhatIsWrittenUnderALeaseThatHasEndedIsVoidAndFound(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		w.grant(t, "a")
		_, stamp := mustRegister(t, w.second(), "1", "a")
		listsOnly(t, w.second(), surely, "1")
		heard := followed(t, w.first(), stamp.Revision)
		synctest.Wait()
		w.two.store.freeze()
		w.end(t, "a", backend.ReasonRevoked)
		if left, err := w.first().Reap(t.Context(), backend.Ending{Owner: "a", Reason: backend.ReasonRevoked}); left != 0 || err != nil {
			t.Errorf("Reap = %d, %v; want nothing left", left, err)
		}
		w.remove(t, "a")
		void, _, err := w.second().Register(t.Context(), leased("2"), backend.Write{Owner: "a"})
		if err != nil {
			t.Fatal(err)
		}
		w.two.store.resume(t)
		for _, n := range []*leaseNode{w.one, w.two} {
			b := n.kinds[w.kind]
			listsOnly(t, b, surely)
			if _, _, err := b.Lookup(t.Context(), void.Key, surely); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("Lookup of what is void = %v; want ErrNotFound", err)
			}
			if got := n.heard(w.kind); !slices.Equal(got, []string{"a"}) {
				t.Errorf("void is something of %q; want a", got)
			}
			if got := b.Remains(); len(got) != 1 || got[0].Owner != "a" || b.Owned("a") != 1 {
				t.Errorf("of %+v something remains; want one of a", got)
			}
		}
		for _, e := range w.one.void[w.kind] {
			if left, err := w.first().Reap(t.Context(), e); left != 0 || err != nil {
				t.Errorf("Reap = %d, %v; want nothing left", left, err)
			}
		}
		if got := w.first().Remains(); len(got) != 0 {
			t.Errorf("of %+v something remains; want nothing", got)
		}
		if _, err := w.store.Get(t.Context(), "event."+void.Key.String()); err != nil {
			t.Errorf("the marker: %v; want it there", err)
		}
		if events := heard(); len(events) != 1 || events[0].Kind != backend.Expired || events[0].Registration.Instance != "1" {
			t.Errorf("a watch has seen %+v; want the end of the first registration only", events)
		}
	})
}

// TestALeaseThatANodeIsYetToHearOfIsNotTakenForDead shows R1 and R4 on a node that lags.
func TestALeaseThatANodeIsYetToHearOfIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		w.grant(t, "b")
		listsOnly(t, w.second(), surely)
		w.two.store.freeze()
		w.grant(t, "a")
		held, _ := mustRegister(t, w.first(), "1", "a")
		late := func(ctx context.Context) map[string]error {
			errs := map[string]error{}
			_, _, errs["register"] = w.second().Register(ctx, leased("1"), backend.Write{Owner: "b"})
			_, _, errs["take"] = w.second().Register(ctx, leased("1"), backend.Write{})
			_, _, errs["own"] = w.second().Register(ctx, leased("2"), backend.Write{Owner: "a"})
			results, _, err := backend.Batch(ctx, w.second(), []backend.Operation{
				{Kind: backend.OpRegister, Registration: leased("1"), Write: backend.Write{Owner: "b"}},
			}, false)
			if errs["batch"] = err; err == nil {
				errs["batch"] = results[0].Err
			}
			return errs
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for what, err := range late(ctx) {
			if !errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s on a node that lags = %v; want unavailable", what, err)
			}
		}
		w.two.store.resume(t)
		for what, err := range late(t.Context()) {
			want := backend.ErrExists
			if what == "own" {
				want = nil
			}
			if !errors.Is(err, want) {
				t.Errorf("%s = %v; want %v", what, err, want)
			}
		}
		got, _, err := w.first().Lookup(t.Context(), held.Key, surely)
		if err != nil || got.Owner != "a" || got.Revision != held.Revision {
			t.Errorf("Lookup = %+v, %v; want %+v", got, err, held)
		}
	})
}

// TestWhatAForgottenLeaseHasLeftIsHiddenByANodeThatStarts covers what nobody has taken out
// before the last record of its lease was forgotten.
func TestWhatAForgottenLeaseHasLeftIsHiddenByANodeThatStarts(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		w.grant(t, "a")
		mustRegister(t, w.first(), "1", "a")
		mustRegister(t, w.first(), "2", "")
		w.end(t, "a", backend.ReasonExpired)
		w.remove(t, "a")
		listsOnly(t, w.first(), surely, "2")
		for range 2 { // with the marker of the record, and when that is forgotten
			n := startLeaseNode(t, w.store)
			b := n.kinds[w.kind]
			listsOnly(t, b, surely, "2")
			if got := b.Remains(); len(got) != 1 || got[0].Owner != "a" {
				t.Errorf("of %+v something remains; want a", got)
			}
			if got := n.heard(w.kind); !slices.Equal(got, []string{"a"}) {
				t.Errorf("void is something of %q; want a", got)
			}
			n.stop()
			time.Sleep(lease.Remembered + time.Minute)
		}
		listsOnly(t, w.first(), surely, "2")
		n := startLeaseNode(t, w.store)
		defer n.stop()
		next, _ := mustRegister(t, n.kinds[w.kind], "1", "")
		if next.CreatedRevision != next.Revision {
			t.Errorf("registered as %+v; want it created afresh", next)
		}
		listsOnly(t, w.first(), surely, "1", "2")
		listsOnly(t, n.kinds[w.kind], surely, "1", "2")
		if left := n.kinds[w.kind].Remains(); len(left) != 0 {
			t.Errorf("of %+v something remains; want nothing", left)
		}
	})
}

// TestALeaseThatEndsWhileTheFeedIsDownEndsWithTheSnapshot covers endings that no feed has
// shown: that of a record which has ended, and that of one which is gone.
func TestALeaseThatEndsWhileTheFeedIsDownEndsWithTheSnapshot(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		var last backend.Stamp
		for _, owner := range []string{"a", "b", "c"} {
			w.grant(t, owner)
			_, last = mustRegister(t, w.first(), owner, owner)
		}
		heard := followed(t, w.first(), last.Revision)
		synctest.Wait()
		w.store.FreezeFeeds()
		w.end(t, "a", backend.ReasonClosed)
		w.end(t, "b", backend.ReasonClosed)
		w.remove(t, "b")
		w.store.RestartFeeds()
		listsOnly(t, w.first(), surely, "c")
		listsOnly(t, w.second(), surely, "c")
		got := map[string]int{}
		for _, e := range heard() {
			if e.Kind != backend.Gap {
				got[e.Registration.Instance]++
			}
			if e.Kind != backend.Gap && (e.Kind != backend.Expired || e.Revision <= last.Revision) {
				t.Errorf("a watch has seen %+v; want expired after %d", e, last.Revision)
			}
		}
		if len(got) != 2 || got["a"] != 1 || got["b"] != 1 {
			t.Errorf("a watch has seen changes %v; want one each of a and b", got)
		}
		remains := w.first().Remains()
		if len(remains) != 2 {
			t.Errorf("of %+v something remains; want a and b", remains)
		}
		for _, e := range remains {
			if left, err := w.first().Reap(t.Context(), e); left != 0 || err != nil {
				t.Errorf("Reap(%s) = %d, %v; want nothing left", e.Owner, left, err)
			}
		}
	})
}

// TestASnapshotOfAStoreMadeAnewKnowsNothingOfLeasesOfTheOld covers an owner that has ended in
// the one store and lives in the other, and one the other way round.
func TestASnapshotOfAStoreMadeAnewKnowsNothingOfLeasesOfTheOld(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		for _, owner := range []string{"a", "b"} {
			w.grant(t, owner)
			mustRegister(t, w.first(), owner, owner)
		}
		w.end(t, "a", backend.ReasonExpired)
		listsOnly(t, w.first(), surely, "b")
		w.store.Reset()
		time.Sleep(10 * time.Second) // a new epoch is agreed upon
		listsOnly(t, w.first(), surely)
		w.grant(t, "a")
		mustRegister(t, w.second(), "a", "a")
		listsOnly(t, w.first(), surely, "a")
		if _, _, err := w.first().Register(t.Context(), leased("b"), backend.Write{Owner: "b"}); !errors.Is(err, backend.ErrLeaseExpired) {
			t.Errorf("a register by an owner of the old store = %v; want that its lease has expired", err)
		}
		if n := w.first().Owned("b"); n != 0 {
			t.Errorf("%d are stored of an owner of the old store; want none", n)
		}
	})
}

// TestANodeThatCatchesUpTellsOfAnEndInItsPlace covers an end among changes that are shown
// all at once.
func TestANodeThatCatchesUpTellsOfAnEndInItsPlace(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		w.grant(t, "a")
		_, stamp := mustRegister(t, w.first(), "1", "a")
		heard := followed(t, w.second(), stamp.Revision)
		synctest.Wait()
		w.two.store.freeze()
		before, _ := mustRegister(t, w.first(), "2", "a")
		between, _ := mustRegister(t, w.first(), "3", "")
		ended := w.end(t, "a", backend.ReasonClosed)
		after, _ := mustRegister(t, w.first(), "4", "")
		w.two.store.resume(t)
		listsOnly(t, w.second(), surely, "3", "4")
		var got []backend.Revision
		for _, e := range heard() {
			got = append(got, e.Revision)
		}
		if want := []backend.Revision{before.Revision, between.Revision, ended, ended, after.Revision}; !slices.Equal(got, want) {
			t.Errorf("a watch has seen changes at %d; want %d", got, want)
		}
	})
}

// TestARemovalWhoseOutcomeIsNotKnownIsDoneByTheNextTry covers lost acknowledgements, and a
// store that cannot be reached.
func TestARemovalWhoseOutcomeIsNotKnownIsDoneByTheNextTry(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		w.grant(t, "a")
		for _, name := range []string{"1", "2", "3", "4"} {
			mustRegister(t, w.first(), name, "a")
		}
		_, last := mustRegister(t, w.first(), "5", "")
		listsOnly(t, w.first(), surely, "1", "2", "3", "4", "5")
		heard := followed(t, w.first(), last.Revision)
		e := backend.Ending{Owner: "a", Reason: backend.ReasonExpired, Revision: w.end(t, "a", backend.ReasonExpired)}
		listsOnly(t, w.first(), surely, "5")
		w.store.FailWrites(1)
		if left, err := w.first().Reap(t.Context(), e); left == 0 || !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Reap with one write that fails = %d, %v; want unavailable and something left", left, err)
		}
		listsOnly(t, w.first(), surely, "5") // what was removed has been seen
		w.store.FreezeFeeds()
		w.store.LoseAcknowledgements(1)
		if left, err := w.first().Reap(t.Context(), e); left == 0 || !errors.Is(err, backend.ErrUnknownOutcome) {
			t.Errorf("Reap with one lost acknowledgement = %d, %v; want an unknown outcome and something left", left, err)
		}
		w.store.ResumeFeeds()
		if left, err := w.first().Reap(t.Context(), e); left != 0 || err != nil {
			t.Errorf("Reap = %d, %v; want nothing left", left, err)
		}
		listsOnly(t, w.second(), surely, "5")
		if events := heard(); len(events) != 4 {
			t.Errorf("a watch has seen %+v; want four ends", events)
		}
	})
}
