package bus_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// wantInvalid checks that err is an InvalidError about field; none if field is "".
func wantInvalid(t *testing.T, what any, err error, field string) {
	t.Helper()
	d, ok := errors.AsType[*backend.InvalidError](err)
	if field == "" && err != nil || field != "" && (!ok || d.Field != field) {
		t.Errorf("%+v: got %v; want an InvalidError about %q", what, err, field)
	}
}

func TestAKeepaliveIsAboutOneLeaseOrAboutMany(t *testing.T) {
	t.Parallel()
	many := func(n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = secret
		}
		return all
	}
	for _, c := range []struct {
		request bus.KeepaliveRequest
		field   string
	}{
		{bus.KeepaliveRequest{Lease: secret}, ""},
		{bus.KeepaliveRequest{Leases: many(1)}, ""},
		{bus.KeepaliveRequest{Leases: many(bus.MaxKeepalive)}, ""},
		{bus.KeepaliveRequest{}, "lease"},
		{bus.KeepaliveRequest{Lease: secret, Leases: many(1)}, "leases"},
		{bus.KeepaliveRequest{Lease: secret, Leases: []string{}}, "leases"},
		{bus.KeepaliveRequest{Leases: []string{}}, "leases"},
		{bus.KeepaliveRequest{Leases: many(bus.MaxKeepalive + 1)}, "leases"},
		{bus.KeepaliveRequest{Lease: "short"}, "lease"},
		{bus.KeepaliveRequest{Leases: append(many(2), "short")}, "leases.2"},
		{bus.KeepaliveRequest{Lease: secret, Connection: &bus.Connection{ServerID: "N", ClientID: 1}}, ""},
		{bus.KeepaliveRequest{Lease: secret, Connection: &bus.Connection{ServerID: "N", ClientID: 1<<53 - 1}}, ""},
		{bus.KeepaliveRequest{Lease: secret, Connection: &bus.Connection{ServerID: "N", ClientID: 1 << 53}}, "connection.client_id"},
		{bus.KeepaliveRequest{Lease: secret, Connection: &bus.Connection{ServerID: "N"}}, "connection.client_id"},
		{bus.KeepaliveRequest{Lease: secret, Connection: &bus.Connection{ClientID: 1}}, "connection.server_id"},
		{bus.KeepaliveRequest{Lease: secret, Connection: &bus.Connection{ServerID: strings.Repeat("N", 129), ClientID: 1}}, "connection.server_id"},
	} {
		wantInvalid(t, c.request, c.request.Validate(), c.field)
	}
}

func TestAGrantIsOfASecretAndMayHaveANameAndAConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request bus.GrantRequest
		field   string
	}{
		{bus.GrantRequest{Lease: secret}, ""},
		{bus.GrantRequest{Lease: secret, Name: "payments-7f9c"}, ""},
		{bus.GrantRequest{}, "lease"},
		{bus.GrantRequest{Lease: secret + "."}, "lease"},
		{bus.GrantRequest{Lease: secret, Name: "a\nb"}, "name"},
		{bus.GrantRequest{Lease: secret, Name: strings.Repeat("n", 129)}, "name"},
		{bus.GrantRequest{Lease: secret, Connection: &bus.Connection{}}, "connection.server_id"},
	} {
		wantInvalid(t, c.request, c.request.Validate(), c.field)
	}
	wantInvalid(t, "revoke", (&bus.RevokeRequest{}).Validate(), "lease")
}

func TestTheSubjectsOfLeasesAreWrittenAsTheProtocolSays(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, bus.DefaultPrefix)
	for _, c := range []struct{ got, want string }{
		{s.LeaseGrant(), "roost.v1.lease.grant"},
		{s.LeaseKeepalive(), "roost.v1.lease.keepalive"},
		{s.LeaseRevoke(), "roost.v1.lease.revoke"},
		{s.LeaseGet(owner), "roost.v1.lease.get." + owner},
		{s.LeaseList(), "roost.v1.lease.list"},
		{s.AdminRevoke(owner), "roost.v1.admin.revoke." + owner},
	} {
		if c.got != c.want {
			t.Errorf("got %s; want %s", c.got, c.want)
		}
	}
	if got, err := s.ParseLeaseGet(s.LeaseGet(owner)); got != owner || err != nil {
		t.Errorf("get: %q, %v", got, err)
	}
	if got, err := s.ParseAdminRevoke(s.AdminRevoke(owner)); got != owner || err != nil {
		t.Errorf("admin: %q, %v", got, err)
	}
	for _, bad := range []string{"", "*", owner[:25], owner + "a", strings.ToUpper(owner), owner[:25] + "1", owner[:24] + ".a"} {
		if got, err := s.ParseLeaseGet(s.LeaseGet(bad)); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("get of %q: got %q, %v; want ErrInvalid", bad, got, err)
		}
	}
	if got, err := s.ParseLeaseGet("other.v1.lease.get." + owner); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("another prefix: got %q, %v; want ErrInvalid", got, err)
	}
}

func TestAnInstantIsWrittenInUTCWithMilliseconds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 30, 5, 700_000_000, time.FixedZone("east", 2*3600))
	text, err := json.Marshal(bus.Instant(at))
	if err != nil || string(text) != `"2026-11-21T10:30:05.700Z"` {
		t.Fatalf("got %s, %v", text, err)
	}
	var back bus.Instant
	if err := json.Unmarshal(text, &back); err != nil || !back.Equal(bus.Instant(at)) {
		t.Errorf("read back: %v, %v; want %v", back.Time(), err, at)
	}
}

func TestTheOwnerOfASecretInAMessageIsItsOwner(t *testing.T) {
	t.Parallel()
	for n := range bus.MaxSecret + 10 {
		s := strings.Repeat("x", n)
		if got, want := string(bus.AppendOwner([]byte("of "), []byte(s))), "of "+bus.Owner(s); got != want {
			t.Errorf("%d characters: %s; want %s", n, got, want)
		}
	}
}

func BenchmarkOwner(b *testing.B) {
	message := []byte(secret)
	var owner []byte
	b.ReportAllocs()
	for b.Loop() {
		owner = bus.AppendOwner(owner[:0], message)
	}
}
