package e2e_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

// audienceOf are those who observe an election: one to whom nothing happens, and two over a
// link that is bad and breaks, of whom one speaks plain NATS.
type audienceOf struct {
	*reign

	link *awayLink
	all  []*observer
}

func attend(t *testing.T, srv *natstest.Server) *audienceOf {
	t.Helper()
	url := srv.URL()
	a := &audienceOf{reign: reignOf(t, lookerAt(t, url), "db", 4), link: &awayLink{badLink: badLink{to: srv}}}
	over := lookerAt(t, "", client.WithNATS(a.link.options()...))
	a.all = []*observer{
		observes(t, "who has a good link", lookerAt(t, url).Election("default", "db")),
		observes(t, "who has a bad link", over.Election("default", "db")),
		observesPlainly(t, "who speaks plain NATS", connect(t, "", a.link.options()...), "default.db"),
	}
	a.current(t)
	return a
}

func (a *audienceOf) current(t *testing.T) {
	t.Helper()
	for _, o := range a.all {
		o.current(t, a.reign)
	}
}

// episode has leaders change while announcements are lost, and while the observers are away
// for fewer changes than a record remembers.
func (a *audienceOf) episode(t *testing.T) {
	t.Helper()
	a.link.percent.Store(20)
	a.change(t, 10+rand.IntN(10))
	a.link.percent.Store(0)
	a.change(t, 1)
	a.current(t)
	a.link.leave()
	a.change(t, 1+rand.IntN(15))
	a.link.comeBack()
	a.current(t)
}

// missNone fails if somebody saw what never was, or missed something.
func (a *audienceOf) missNone(t *testing.T) {
	t.Helper()
	for _, o := range a.all {
		if missed := o.sawOnlyCommitted(t, a.reign); missed != 0 {
			t.Errorf("%s missed %d terms", o.name, missed)
		}
	}
	if a.link.lost.Load() == 0 {
		t.Error("no announcement was lost on the bad link")
	}
}

// C3, C2: an observer sees every leader of over a thousand, in order, and no other.
func TestObserversWhoseAnnouncementsAreLostAndWhoseLinksBreakSeeEveryTermInOrder(t *testing.T) {
	t.Parallel()
	changes := 1000
	if testing.Short() {
		changes = 100
	}
	srv := natstest.Start(t, natstest.Listen)
	nodesOn(t, 1, []string{srv.URL()})
	a := attend(t, srv)
	for len(a.began()) <= changes {
		a.episode(t)
	}
	a.missNone(t)
}

// C3: who was away for too long misses something, but sees the newest that the record
// remembers, and never goes back.
func TestAnObserverThatWasAwayForLongSeesWhatTheRecordRemembersAndNeverGoesBack(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	nodesOn(t, 1, []string{srv.URL()})
	a := attend(t, srv)
	a.link.leave()
	a.change(t, 40)
	a.link.comeBack()
	a.current(t)
	for i, o := range a.all {
		missed := o.sawOnlyCommitted(t, a.reign)
		if want := 40 - 16; i == 0 && missed != 0 || i > 0 && missed != want {
			t.Errorf("%s missed %d terms; want %d, and none with a good link", o.name, missed, want)
		}
	}
}

// C3: the server that leads the stream of the bucket is killed again and again, which loses
// announcements of what was committed.
func TestObserversSeeEveryTermInOrderAlthoughStreamLeadersAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("short: leaders of three processes are killed during a thousand terms")
	}
	t.Parallel()
	servers := natstest.StartProcesses(t, 3)
	js, err := jetstream.New(servers.Steady.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "JetStream", func() bool {
		_, err := js.AccountInfo(t.Context())
		return err == nil
	})
	for _, name := range []string{"n0", "n1"} {
		nodeAt(t, name, func(c *config.Server) { c.URL, c.Replicas, c.HoldShare = servers.Steady.URL(), 3, 1 })
	}
	a := attend(t, servers.Steady)
	stream := "KV_" + bucketOf(t, keeperPrefix)
	for kills := 0; len(a.began()) <= 1000; kills++ {
		leader := servers.Leader(t, js, stream)
		killed := make(chan time.Time, 1)
		time.AfterFunc(rand.N(200*time.Millisecond), func() {
			leader.Kill()
			killed <- time.Now()
		})
		a.change(t, 14)
		at := arrives(t, "kill", killed)
		a.change(t, 1)
		t.Logf("kill %d: term %d %v after it", kills, len(a.began()), time.Since(at).Round(time.Millisecond))
		leader.Start(t)
		a.current(t)
		for range 3 {
			a.episode(t)
		}
	}
	a.missNone(t)
}
