package natskv

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// TestALeapIsNoStateOfABucketWithReplicasUntilWhatReplacedItWasShown shows what a server
// does whose own copy of the bucket catches up: it leaps over what its leader does not
// have any more, and has nothing pending though what replaced that is still to come.
func TestALeapIsNoStateOfABucketWithReplicasUntilWhatReplacedItWasShown(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 3)
	c.shows("b", 15, 12, "")   // 13, a newer a than this copy has, and 14 are gone
	c.shows("c", 16, 9, "")    // nothing new of them
	c.shows("a", 20, 13, "")   // 17 to 19 are gone, too
	proof := c.asksForProof()  // written after all of these
	c.shows("b", 23, 15, "")   // leaps over 21 and 22
	c.shows("p", 25, 0, proof) // tells of all but 21 and 22
	c.shows("p", 26, 0, c.asksForProof())
	c.shows("a", 27, 20, "")
	c.want("15 torn", "16 torn", "20 torn", "23 torn", "25 torn", "26", "27")
}

func TestALeapOverWhatTheNextMessageReplacesIsAState(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 3)
	c.shows("a", 12, 11, "")
	c.shows("b", 13, 10, "")
	c.want("12", "13")
}

func TestALeapOverAnEarlierBarrierIsAState(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 3)
	c.receive("probe.n", 12, nats.Header{headerReplaces: {string(c.attempt.generation) + " 11"}})
	c.receive("probe.n", 14, nats.Header{headerReplaces: {"another life 13"}})
	c.want("12", "14 torn")
}

func TestALeapOfABucketWithOneReplicaIsAStateWhenNothingIsPending(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 1)
	c.pending = 1
	c.shows("b", 15, 12, "")
	c.pending = 0
	c.shows("c", 16, 9, "")
	c.want("15 torn", "16")
}

// What is counted as pending may have been overwritten, and then nothing follows.
func TestALeapIsSettledThoughTheConsumerSaysThatItHasMore(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 1)
	c.pending = 7
	c.shows("b", 15, 12, "")
	select {
	case <-c.attempt.leapt:
	default:
		t.Fatal("nobody was told of the leap")
	}
	c.shows("p", 16, 0, c.attempt.doubts.begin())
	c.want("15 torn", "16")
}

func TestDoubtsOutliveTheConsumerThatCausedThem(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 3)
	c.shows("b", 15, 12, "")
	c.next()
	c.shows("c", 16, 9, "")
	c.shows("p", 17, 0, c.asksForProof())
	c.want("15 torn", "16 torn", "17", "live 17")
}

func TestASnapshotWithLeapsIsCompleteWhenAProofHasCome(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 3)
	c.attempt.snapshot, c.attempt.live, c.attempt.target = true, false, 15
	c.shows("a", 5, 0, "")
	c.shows("b", 15, 12, "")
	c.shows("p", 17, 0, c.asksForProof()) // and leaps over 16
	c.shows("p", 18, 0, c.asksForProof())
	c.want("5", "15", "17", "18", "live 18")
}

func TestManyLeapsAreSettledTogether(t *testing.T) {
	t.Parallel()
	c := newCopy(t, 3)
	c.shows("b", 11+2*maxSkipped, 11, "") // one of them is explained, which does not help
	c.shows("p", 12+2*maxSkipped, 0, c.asksForProof())
	c.want(fmt.Sprintf("%d torn", 11+2*maxSkipped), fmt.Sprint(12+2*maxSkipped))
}

// copying is a feed that has shown everything up to revision 10 and is shown more.
type copying struct {
	t        *testing.T
	attempt  *attempt
	pending  uint64
	delivery uint64
	told     []string
}

func newCopy(t *testing.T, replicas int) *copying {
	t.Helper()
	c := &copying{t: t}
	c.attempt = &attempt{
		feed: &feed{
			store: &Store{config: Config{Bucket: "b", Node: "n"}}, follower: c,
			generation: "now", seen: 10, census: newCensus(),
		},
		broken: make(chan error, 1), prove: make(chan struct{}, 1), leapt: make(chan struct{}, 1), single: replicas == 1, live: true, shown: 10,
	}
	return c
}

// next goes on with another consumer.
func (c *copying) next() {
	a := c.attempt
	c.attempt = &attempt{feed: a.feed, broken: a.broken, prove: make(chan struct{}, 1), leapt: make(chan struct{}, 1), single: a.single, target: a.seen}
	c.delivery = 0
	c.attempt.start(true)
}

func (c *copying) shows(key string, revision, expect uint64, operation string) {
	c.t.Helper()
	header := nats.Header{headerExpect: {strconv.FormatUint(expect, 10)}, HeaderOperation: {operation}}
	c.receive(key, revision, header)
}

func (c *copying) receive(key string, revision uint64, header nats.Header) {
	c.t.Helper()
	c.delivery++
	c.attempt.receive(message{
		subject: "$KV.b." + key, header: header,
		reply: fmt.Sprintf("$JS.ACK.KV_b.feed.1.%d.%d.%d.%d", revision, c.delivery, time.Now().UnixNano(), c.pending),
	})
	select {
	case err := <-c.attempt.broken:
		c.t.Fatal(err)
	default:
	}
}

// asksForProof returns the operation of a proof that is written now. One must be asked for.
func (c *copying) asksForProof() string {
	c.t.Helper()
	select {
	case <-c.attempt.prove:
	default:
		c.t.Fatal("no proof was asked for")
	}
	return c.attempt.doubts.begin()
}

func (c *copying) want(told ...string) {
	c.t.Helper()
	if diff := cmp.Diff(told, c.told); diff != "" {
		c.t.Error("the follower was told (-want +got):\n" + diff)
	}
}

func (c *copying) Begin(kvstore.Generation) {}
func (c *copying) Stale(error)              {}
func (c *copying) Live(revision uint64)     { c.told = append(c.told, fmt.Sprintf("live %d", revision)) }

func (c *copying) Apply(e kvstore.Entry) {
	told := strconv.FormatUint(e.Revision, 10)
	if e.Torn {
		told += " torn"
	}
	c.told = append(c.told, told)
}

// message is one of a consumer's.
type message struct {
	jetstream.Msg

	subject, reply string
	header         nats.Header
}

func (m message) Subject() string      { return m.subject }
func (m message) Reply() string        { return m.reply }
func (m message) Headers() nats.Header { return m.header }
func (m message) Data() []byte         { return []byte("x") }
