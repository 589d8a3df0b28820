package bus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

var objects = []bus.Object{
	{Namespace: "default", Name: "payments"},
	{Namespace: "a.b", Name: "*"},
	{Namespace: ">", Name: "nightly report"},
	{Namespace: "привет", Name: strings.Repeat("é", 64)},
}

func TestTheSubjectsOfObjectsAreWrittenAsTheProtocolSays(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, bus.DefaultPrefix)
	o := bus.Object{Namespace: "default", Name: "a.b"}
	for _, c := range []struct{ got, want string }{
		{s.OfObject(bus.KindElection, bus.VerbCampaign, o), "roost.v1.election.campaign.default.a=2Eb"},
		{s.OfObject(bus.KindLock, bus.VerbAcquire, o), "roost.v1.lock.acquire.default.a=2Eb"},
		{s.OfObject(bus.KindCounter, bus.VerbGet, o), "roost.v1.counter.get.default.a=2Eb"},
		{s.OfObjects(bus.KindBarrier, ""), "roost.v1.barrier.list"},
		{s.OfObjects(bus.KindBarrier, "a.b"), "roost.v1.barrier.list.a=2Eb"},
		{s.AdminRelease(bus.KindSemaphore, o), "roost.v1.admin.release.semaphore.default.a=2Eb"},
		{s.Announcement(bus.KindProposal, o), "roost.v1.announce.proposal.default.a=2Eb"},
		{s.Announcements(bus.KindElection, ""), "roost.v1.announce.election.*.*"},
		{s.Announcements(bus.KindElection, "a.b"), "roost.v1.announce.election.a=2Eb.*"},
	} {
		if c.got != c.want {
			t.Errorf("got %s; want %s", c.got, c.want)
		}
	}
}

func TestAnObjectComesBackFromItsSubject(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, "x")
	for _, o := range objects {
		for _, kind := range bus.Kinds() {
			for what, parse := range map[string]func() (bus.Object, error){
				"get":          func() (bus.Object, error) { return s.ParseObject(kind, bus.VerbGet, s.OfObject(kind, bus.VerbGet, o)) },
				"release":      func() (bus.Object, error) { return s.ParseAdminRelease(kind, s.AdminRelease(kind, o)) },
				"announcement": func() (bus.Object, error) { return s.ParseAnnouncement(kind, s.Announcement(kind, o)) },
			} {
				if got, err := parse(); got != o || err != nil {
					t.Errorf("%s of %v: got %v, %v", what, o, got, err)
				}
			}
			for _, namespace := range []string{"", o.Namespace} {
				if got, err := s.ParseObjects(kind, s.OfObjects(kind, namespace)); got != namespace || err != nil {
					t.Errorf("list of %q: got %q, %v", namespace, got, err)
				}
			}
		}
	}
}

func TestAMalformedSubjectOfAnObjectIsInvalid(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, bus.DefaultPrefix)
	for _, tail := range []string{
		"", ".", ".a", ".a.", "..b", ".a.b.c", ".a._", "._.b", ".a._x", ".a.=41", ".a.*", ".a.>", ".a." + strings.Repeat("b", 129),
	} {
		if o, err := s.ParseObject(bus.KindLock, bus.VerbGet, "roost.v1.lock.get"+tail); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("get%s: got %v, %v; want ErrInvalid", tail, o, err)
		}
	}
	for _, subject := range []string{"roost.v1.lock.list.", "roost.v1.lock.list.a.b", "roost.v1.lock.list._", "roost.v1.lock.list.*", "roost.v1.lock.lists"} {
		if n, err := s.ParseObjects(bus.KindLock, subject); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("%s: got %q, %v; want ErrInvalid", subject, n, err)
		}
	}
	if o, err := s.ParseObject(bus.KindLock, bus.VerbGet, s.OfObject(bus.KindElection, bus.VerbGet, objects[0])); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("another kind: got %v, %v; want ErrInvalid", o, err)
	}
}

func TestNobodyButAServerMaySubscribeToARequestAboutObjects(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, bus.DefaultPrefix)
	for _, kind := range bus.Kinds() {
		if want := "roost.v1." + string(kind) + ".>"; !slices.Contains(s.Requests(), want) {
			t.Errorf("%q is not among the requests %q", want, s.Requests())
		}
	}
}

func FuzzParseObjectAcceptsOnlyWhatOfObjectWrites(f *testing.F) {
	for _, o := range objects {
		f.Add(o.String())
	}
	f.Add("a._")
	f.Add("=41.b")
	f.Fuzz(func(t *testing.T, text string) {
		if o, err := bus.ParseObject(text); err == nil && o.String() != text {
			t.Errorf("%q parsed as %v, which is written %q", text, o, o)
		}
	})
}

func TestWhoUsesAnObjectHasALeaseAndMayHaveAHolder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		user  bus.User
		field string
	}{
		{bus.User{Lease: secret}, ""},
		{bus.User{Lease: secret, Holder: strings.Repeat("é", 64)}, ""},
		{bus.User{Holder: "h"}, "lease"},
		{bus.User{Lease: "short"}, "lease"},
		{bus.User{Lease: secret, Holder: strings.Repeat("h", 65)}, "holder"},
		{bus.User{Lease: secret, Holder: "a\nb"}, "holder"},
		{bus.User{Lease: secret, Holder: "\xff"}, "holder"},
	} {
		wantInvalid(t, c.user, c.user.Validate(), c.field)
	}
}

func TestRequestsAboutObjectsAreCheckedByTheirFields(t *testing.T) {
	t.Parallel()
	voters := bus.Voters{Owners: []string{owner}}
	for _, c := range []struct {
		request interface{ Validate() error }
		field   string
	}{
		{&bus.CampaignRequest{Lease: secret}, ""},
		{&bus.CampaignRequest{}, "lease"},
		{&bus.ResignRequest{}, "lease"},
		{&bus.TransferRequest{Lease: secret, To: owner}, ""},
		{&bus.TransferRequest{Lease: secret}, "to"},
		{&bus.TransferRequest{Lease: secret, To: secret}, "to"},
		{&bus.LockRequest{User: bus.User{Lease: secret}}, ""},
		{&bus.LockRequest{User: bus.User{Lease: secret}, Mode: "shared"}, ""},
		{&bus.LockRequest{User: bus.User{Lease: secret}, Mode: "Shared"}, "mode"},
		{&bus.LockRequest{Mode: "shared"}, "lease"},
		{&bus.SemaphoreRequest{Limit: 1}, "lease"},
		{&bus.ArriveRequest{Size: 1}, "lease"},
		{&bus.ProposeRequest{Lease: secret, Voters: voters}, ""},
		{&bus.ProposeRequest{Lease: secret, Voters: voters, TimeoutMs: ptr(int64(0))}, "timeout_ms"},
		{&bus.ProposeRequest{Lease: secret, Voters: voters, TimeoutMs: ptr(int64(86_400_001))}, "timeout_ms"},
		{&bus.ProposeRequest{Lease: secret}, "voters"},
		{&bus.ProposeRequest{Voters: voters}, "lease"},
		{&bus.VoteRequest{Lease: secret, ID: "x", Accept: ptr(true)}, ""},
		{&bus.VoteRequest{Lease: secret, ID: "x"}, "accept"},
		{&bus.VoteRequest{Lease: secret, Accept: ptr(true)}, "id"},
		{&bus.VoteRequest{Lease: secret, ID: strings.Repeat("x", 65), Accept: ptr(true)}, "id"},
		{&bus.VoteRequest{Lease: secret, ID: "x", Accept: ptr(true), Reason: " x"}, "reason"},
		{&bus.VoteRequest{ID: "x", Accept: ptr(true)}, "lease"},
		{&bus.ProposalRequest{}, ""},
		{&bus.ProposalRequest{ID: strings.Repeat("x", 64)}, ""},
		{&bus.ProposalRequest{ID: strings.Repeat("x", 65)}, "id"},
		{&bus.ProposalRequest{ID: "a\nb"}, "id"},
	} {
		wantInvalid(t, c.request, c.request.Validate(), c.field)
	}
}

func TestALockIsAskedForExclusivelyUnlessItSaysShared(t *testing.T) {
	t.Parallel()
	q := bus.LockRequest{User: bus.User{Lease: secret}}
	if err := q.Validate(); err != nil || q.Mode != bus.ModeExclusive {
		t.Errorf("got %q, %v; want %q", q.Mode, err, bus.ModeExclusive)
	}
}

func TestADeltaIsADecimalNumberOf64Bits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "-3": -3, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63, "007": 7,
	} {
		if got, err := (&bus.AddRequest{Delta: text}).Amount(); got != want || err != nil {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "+3", " 3", "3 ", "1e3", "0x10", "1_000", "1.0", "9223372036854775808", "-9223372036854775809", "--1", "-"} {
		_, err := (&bus.AddRequest{Delta: text}).Amount()
		wantInvalid(t, text, err, "delta")
	}
}

func TestVotersAreOwnersOrAService(t *testing.T) {
	t.Parallel()
	other := bus.Owner("8fJd02mWq_Zx-5TtYbNc3LvR")
	many := make([]string, bus.MaxVoters+1)
	for i := range many {
		many[i] = bus.Owner(fmt.Sprint(i))
	}
	array := func(all []string) string {
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct{ text, field string }{
		{`["` + owner + `"]`, ""},
		{`["` + owner + `","` + other + `"]`, ""},
		{array(many[1:]), ""},
		{array(many), "voters"},
		{`[]`, "voters"},
		{`["` + owner + `","` + owner + `"]`, "voters.1"},
		{`["short"]`, "voters.0"},
		{`[null]`, "voters.0"},
		{`[1]`, "voters"},
		{`null`, "voters"},
		{`"all"`, "voters"},
		{`{"namespace":"default","service":"payments"}`, ""},
		{`{"namespace":"default"}`, "voters.service"},
		{`{"service":"payments"}`, "voters.namespace"},
		{`{"namespace":"default","service":null}`, "voters.service"},
		{`{"namespace":"default","service":1}`, "voters"},
		{`{"namespace":"default","service":"_x"}`, "voters.service"},
		{`{"namespace":"default","service":"payments","instance":"i"}`, "voters.instance"},
	} {
		var v bus.Voters
		err := v.UnmarshalJSON([]byte(c.text))
		if err == nil {
			err = v.Validate()
		}
		wantInvalid(t, c.text[:min(len(c.text), 80)], err, c.field)
	}
}

func TestAQuorumIsAWordOrANumberOfVoters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		of   [5]int // of 1 to 5 voters
	}{
		{`"majority"`, [5]int{1, 2, 2, 3, 3}},
		{`"all"`, [5]int{1, 2, 3, 4, 5}},
		{`2`, [5]int{2, 2, 2, 2, 2}},
		{`500`, [5]int{500, 500, 500, 500, 500}},
	} {
		var q bus.Quorum
		if err := q.UnmarshalJSON([]byte(c.text)); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		var of [5]int
		for i := range of {
			of[i] = q.Of(i + 1)
		}
		if diff := cmp.Diff(c.of, of); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, diff)
		}
		if text, err := q.MarshalJSON(); string(text) != c.text || err != nil {
			t.Errorf("written %s, %v; want %s", text, err, c.text)
		}
	}
	for _, text := range []string{`0`, `-1`, `1001`, `1.5`, `1e2`, `"most"`, `"2"`, `null`, `true`, `{}`, `[2]`} {
		wantInvalid(t, text, new(bus.Quorum).UnmarshalJSON([]byte(text)), "quorum")
	}
	if got := (bus.Quorum{}).Of(4); got != 3 {
		t.Errorf("none given: %d of 4; want the majority", got)
	}
}
