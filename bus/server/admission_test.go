package server_test

import (
	"testing"

	"github.com/nats-io/nats.go/micro"

	"github.com/roostbus/roost/bus/server"
)

const (
	greedy = "_INBOX.greedy.1"
	modest = "_INBOX.modest.1"
)

func TestWhoHasLessThanItsShareIsLetInBeyondTheLimit(t *testing.T) {
	t.Parallel()
	a := server.NewAdmission(8)
	for inFlight := range int64(8) {
		if a.Enter(greedy, inFlight) {
			t.Fatal("a request is let in beyond a limit that is not reached")
		}
	}
	if a.Enter(greedy, 8) {
		t.Error("one who has all of the limit is let in beyond it")
	}
	for n := range int64(4) { // their share is the half of 8
		if !a.Enter(modest, 8+n) {
			t.Errorf("request %d of one who has less than its share is not let in", n+1)
		}
	}
	if a.Enter("_INBOX.third.1", 12) {
		t.Error("there is no end to what is let in beyond the limit")
	}
	a.Leave("_INBOX.third.1")
	if a.Enter(modest, 11) {
		t.Error("one who has its share is let in beyond the limit")
	}
}

func TestTheShareGrowsWhenOthersHaveNothingInHandAnyMore(t *testing.T) {
	t.Parallel()
	a := server.NewAdmission(8)
	for _, who := range []string{greedy, modest, "_INBOX.third.1", "_INBOX.fourth.1"} {
		a.Enter(who, 0)
	}
	a.Enter(modest, 0) // has its share
	if a.Enter(modest, 8) {
		t.Fatal("three of eight between four is let in beyond the limit")
	}
	a.Leave("_INBOX.third.1")
	a.Leave("_INBOX.fourth.1")
	if !a.Enter(modest, 8) {
		t.Error("four of eight between two is not let in beyond the limit")
	}
}

func TestClientsAreToldApartByTheInboxOfTheirConnectionOrByTheirServer(t *testing.T) {
	t.Parallel()
	a := server.NewAdmission(8)
	info := func(text string) micro.Headers { return micro.Headers{"Nats-Request-Info": {text}} }
	for _, same := range [][2]string{{"_INBOX.a.1", "_INBOX.a.2"}, {"_INBOX_user.b.x", "_INBOX_user.b.y"}, {"", ""}, {"alone", "solo"}} {
		if a.Asker(same[0], nil) != a.Asker(same[1], nil) {
			t.Errorf("%q and %q are told apart", same[0], same[1])
		}
	}
	if a.Asker("_INBOX.a.1", nil) == a.Asker("_INBOX.b.1", nil) && a.Asker("_INBOX.a.1", nil) == a.Asker("_INBOX.c.1", nil) {
		t.Error("connections are not told apart")
	}
	if a.Asker("_R_.x.1", info(`{"acc":"A","rtt":1}`)) != a.Asker("_R_.y.2", info(`{"acc":"A","rtt":2}`)) {
		t.Error("two requests of one account are told apart")
	}
	if a.Asker("_R_.x.1", info(`{"acc":"A"}`)) == a.Asker("_R_.x.1", info(`{"acc":"B"}`)) &&
		a.Asker("_R_.x.1", info(`{"acc":"A"}`)) == a.Asker("_R_.x.1", info(`{"acc":"C"}`)) {
		t.Error("accounts are not told apart")
	}
	if a.Asker("_INBOX.a.1", info(`{"acc":"A"}`)) != a.Asker("_INBOX.a.1", nil) {
		t.Error("somebody in the registry's own account can say who it is")
	}
}

func TestEndingsAreKnownByTheirNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"unregister": true, "admin-unregister": true, "lease-revoke": true, "admin-revoke": true, "lock-release": true, "election-resign": true,
		"register": false, "lookup": false, "list": false, "lock-acquire": false, "lease-grant": false, "batch": false,
	} {
		if server.Ends(name) != want {
			t.Errorf("%s is an ending: %t, want %t", name, !want, want)
		}
	}
}
