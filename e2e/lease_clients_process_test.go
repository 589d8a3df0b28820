package e2e_test

import (
	"syscall"
	"testing"
	"time"
)

// stoppedFor is the TTL of programs that are stopped until their leases have ended.
const stoppedFor = time.Second

// TestAStoppedProgramIsRemovedAndLearnsOnWakingThatItsLeaseHasEndedBeforeItActs stops a real
// process for longer than its TTL. L1, R3.
func TestAStoppedProgramIsRemovedAndLearnsOnWakingThatItsLeaseHasEndedBeforeItActs(t *testing.T) {
	t.Parallel()
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	removed := hearRemovals(t, n.url, "payments")
	p := programAt(t, programSettings{URL: n.url, Instance: "i-1", TTL: stoppedFor, Grace: time.Minute})
	before := p.says(t, "registered").Owner

	stopped := p.signal(t, syscall.SIGSTOP)
	end := removed.await(t, "i-1")
	// Its last keepalive was sent a third of the TTL before, or less, and 10 % more.
	took(t, "removal of a stopped program", stopped, end.at, stoppedFor*6/10, stoppedFor+250*time.Millisecond)
	if end.kind != "expired" || end.reason != "expired" {
		t.Errorf("removed as %s, %s; want expired, expired", end.kind, end.reason)
	}
	if owner := holder(t, look, "i-1"); owner != "" {
		t.Errorf("%s is still there", owner)
	}

	p.signal(t, syscall.SIGCONT)
	woke := p.wakes(t, stoppedFor/2)
	if woke.Owner != before || woke.Valid {
		t.Errorf("on waking the lease of %s is valid = %v; want that of %s not to be", woke.Owner, woke.Valid, before)
	}
	if woke.Own != "lease expired" || woke.Forced != "lease expired" {
		t.Errorf("its writes on waking: %q and %q; want both refused, since the lease has expired", woke.Own, woke.Forced)
	}
	after := p.says(t, "renewed").Owner
	if owner := holder(t, look, "i-1"); after == before || owner != after {
		t.Errorf("registered again as %q; want %q, which is not %q", owner, after, before)
	}
	if owner := holder(t, look, "written"); owner != "" {
		t.Errorf("%s has written under a lease that had ended", owner)
	}
	p.neverActed(t, before, end.at)
}

// TestAProgramThatIsStoppedForLessThanItsTTLStaysWhatItWas is about the same, for less. R4.
func TestAProgramThatIsStoppedForLessThanItsTTLStaysWhatItWas(t *testing.T) {
	t.Parallel()
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	removed := hearRemovals(t, n.url, "payments")
	const ttl = 6 * time.Second
	p := programAt(t, programSettings{URL: n.url, Instance: "i-1", TTL: ttl, Grace: time.Second})
	before := p.says(t, "registered").Owner
	p.signal(t, syscall.SIGSTOP)
	noSooner(ttl / 3)
	p.signal(t, syscall.SIGCONT)
	woke := p.wakes(t, ttl/3-asleep)
	if woke.Owner != before || !woke.Valid || woke.Own != "" || woke.Forced != "" {
		t.Errorf("on waking: %+v; want a valid lease of %s", woke, before)
	}
	noSooner(ttl)
	if owner := holder(t, look, "i-1"); owner != before {
		t.Errorf("it belongs to %q; want %q", owner, before)
	}
	removed.none(t)
}

// TestAKilledProgramIsGoneWhenItsGraceHasPassed kills by SIGKILL. L4.
func TestAKilledProgramIsGoneWhenItsGraceHasPassed(t *testing.T) {
	t.Parallel()
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	removed := hearRemovals(t, n.url, "payments")
	for instance, grace := range map[string]time.Duration{"without": 0, "short": time.Second, "long": 3 * time.Second} {
		p := programAt(t, programSettings{URL: n.url, Instance: instance, TTL: time.Hour, Grace: grace})
		p.says(t, "registered")
		killed := p.signal(t, syscall.SIGKILL)
		end := removed.await(t, instance)
		took(t, "removal of a killed program", killed, end.at, grace, grace+100*time.Millisecond)
		if end.kind != "expired" || end.reason != "closed" {
			t.Errorf("removed as %s, %s; want expired, closed", end.kind, end.reason)
		}
		if owner := holder(t, look, instance); owner != "" {
			t.Errorf("%s is still there", owner)
		}
	}
}

// TestAProgramThatIsKilledAndStartedAgainSoonerThanItsTTLGetsItsNameWithinTheGrace is a
// restart that is much faster than the TTL. L4.
func TestAProgramThatIsKilledAndStartedAgainSoonerThanItsTTLGetsItsNameWithinTheGrace(t *testing.T) {
	t.Parallel()
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	const grace = time.Second
	s := programSettings{URL: n.url, Instance: "i-1", TTL: time.Hour, Grace: grace}
	first := programAt(t, s)
	before := first.says(t, "registered").Owner
	next := programAt(t, s)
	next.says(t, "taken") // while the first one lives
	if owner := holder(t, look, "i-1"); owner != before {
		t.Errorf("the name belongs to %q; want %q", owner, before)
	}
	killed := first.signal(t, syscall.SIGKILL)
	got := next.says(t, "registered")
	took(t, "name of a killed program", killed, got.At, grace, grace+100*time.Millisecond)
	if owner := holder(t, look, "i-1"); owner != got.Owner || owner == before {
		t.Errorf("the name belongs to %q; want %q", owner, got.Owner)
	}
}

// TestAStoppedProgramWhoseNameWasTakenCannotActWhenItWakes is a restart while the old
// process only hangs. R1, L1.
func TestAStoppedProgramWhoseNameWasTakenCannotActWhenItWakes(t *testing.T) {
	t.Parallel()
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	s := programSettings{URL: n.url, Instance: "i-1", TTL: stoppedFor, Grace: time.Minute}
	old := programAt(t, s)
	before := old.says(t, "registered").Owner
	s.TTL = time.Minute
	next := programAt(t, s)
	next.says(t, "taken")
	stopped := old.signal(t, syscall.SIGSTOP)
	got := next.says(t, "registered")
	took(t, "name of a stopped program", stopped, got.At, stoppedFor*6/10, stoppedFor+250*time.Millisecond)
	settled, _, err := look.Lookup(t.Context(), paymentsKey("i-1"), linearizably)
	if err != nil || settled.Owner != got.Owner {
		t.Fatalf("the name belongs to %q (%v); want %q", settled.Owner, err, got.Owner)
	}

	old.signal(t, syscall.SIGCONT)
	woke := old.wakes(t, stoppedFor/2)
	if woke.Valid || woke.Own != "lease expired" || woke.Forced != "lease expired" {
		t.Errorf("on waking: %+v; want a lease that has ended", woke)
	}
	old.says(t, "renewed")
	old.says(t, "refused") // to be registered again under its next lease
	old.neverActed(t, before, got.At)
	is, _, err := look.Lookup(t.Context(), paymentsKey("i-1"), linearizably)
	if err != nil || is.Owner != got.Owner || is.Revision != settled.Revision {
		t.Errorf("the name belongs to %q since %d (%v); want %q since %d", is.Owner, is.Revision, err, got.Owner, settled.Revision)
	}
}
