package client

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
)

const described = `{"owner":"xx7efk5icnktva4ttus6qidmat","name":"payments","ttl_ms":15000,"remaining_ms":9000,` +
	`"state":"suspect","registrations":3,"granted_at":"2026-11-21T10:00:00.000Z"}`

var lease = LeaseInfo{
	Owner: "xx7efk5icnktva4ttus6qidmat", Name: "payments", TTL: 15 * time.Second, Remaining: 9 * time.Second,
	State: LeaseSuspect, Registrations: 3, GrantedAt: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
}

func TestALeaseIsReadByItsOwner(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", described), failure(bus.CodeNotFound, "1"))
	got, stamp, err := c.LeaseGet(t.Context(), lease.Owner, Read{})
	if err != nil || stamp.Revision != 7 {
		t.Errorf("got %+v, %v", stamp, err)
	}
	if diff := cmp.Diff(lease, got); diff != "" {
		t.Error(diff)
	}
	if got, want := s.requests()[0].msg.Subject, "roost.v1.lease.get."+lease.Owner; got != want {
		t.Errorf("asked on %s; want %s", got, want)
	}
	_, _, err = c.LeaseGet(t.Context(), lease.Owner, Read{})
	wantErr(t, err, ErrNotFound)
	_, _, err = c.LeaseGet(t.Context(), "some.body", Read{})
	wantErr(t, err, ErrInvalid)
}

func TestLeasesAreReadPageByPage(t *testing.T) {
	t.Parallel()
	c, s := scripted(t,
		reply("7", "1", `{"leases":[`+described+`],"next":"xx"}`),
		reply("7", "1", `{"leases":[`+described+`]}`),
		failure(bus.CodeInvalid, "1"))
	n := 0
	for got, err := range c.Leases(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lease, got); diff != "" {
			t.Error(diff)
		}
		n++
	}
	if body := string(s.requests()[1].msg.Data); n != 2 || body != `{"after":"xx","min_revision":7}` && body != `{"after":"xx"}` {
		t.Errorf("got %d leases; asked for %s", n, body)
	}
	for _, err := range c.Leases(t.Context()) {
		wantErr(t, err, ErrInvalid)
	}
}

func TestAnOperatorRevokesByOwner(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", `{"removed":3}`), failure(bus.CodeNotFound, "1"))
	removed, err := c.AdminRevoke(t.Context(), lease.Owner, "hung")
	if err != nil || removed != 3 {
		t.Errorf("got %d, %v", removed, err)
	}
	m := s.requests()[0].msg
	if m.Subject != "roost.v1.admin.revoke."+lease.Owner || string(m.Data) != `{"reason":"hung"}` {
		t.Errorf("sent %s on %s", m.Data, m.Subject)
	}
	_, err = c.AdminRevoke(t.Context(), lease.Owner, "")
	wantErr(t, err, ErrNotFound)
	_, err = c.AdminRevoke(t.Context(), "*", "")
	wantErr(t, err, ErrInvalid)
}
