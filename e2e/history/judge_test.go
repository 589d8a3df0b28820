package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/history"
)

// tale is a history in the making: one event each second, unless it is stretched.
type tale struct {
	object string
	events []history.Event
}

func (s *tale) add(d history.Deed, f history.Finding) *tale {
	at := time.Duration(len(s.events)) * time.Second
	if f.Fate == 0 {
		f.Fate = history.Done
	}
	d.Object = s.object
	s.events = append(s.events, history.Event{Client: len(s.events) % 3, Deed: d, Finding: f, Call: at, Return: at + time.Second/2})
	return s
}

// beside makes the last n events concurrent.
func (s *tale) beside(n int) *tale {
	last := s.events[len(s.events)-n:]
	for i := range last {
		last[i].Call, last[i].Return = last[0].Call, s.events[len(s.events)-1].Return
	}
	return s
}

func (s *tale) acquire(owner string, has int, f history.Finding) *tale {
	return s.add(history.Deed{Verb: history.Acquire, Owner: owner, Has: has, Limit: 3}, f)
}

func (s *tale) release(owner string, f history.Finding) *tale {
	return s.add(history.Deed{Verb: history.Release, Owner: owner}, f)
}

func (s *tale) ends(owner string) *tale {
	at := time.Duration(len(s.events)) * time.Second
	s.events = append(s.events, history.Ending(0, s.object, owner, at))
	return s
}

func (s *tale) reads(newest string, holders ...history.Party) *tale {
	return s.add(history.Deed{Verb: history.Read}, history.Finding{Token: newest, Holders: holders})
}

func (s *tale) campaign(owner string, f history.Finding) *tale {
	return s.add(history.Deed{Verb: history.Campaign, Owner: owner}, f)
}

func (s *tale) preferred(owner string, priority int) *tale {
	return s.add(history.Deed{Verb: history.Campaign, Owner: owner, Priority: priority}, done)
}

func (s *tale) transfer(owner, to string, f history.Finding) *tale {
	return s.add(history.Deed{Verb: history.Transfer, Owner: owner, To: to}, f)
}

func (s *tale) leads(owner string, term uint64, token string) *tale {
	return s.add(history.Deed{Verb: history.Lead, Owner: owner}, history.Finding{Term: term, Token: token})
}

func (s *tale) resign(owner string, f history.Finding) *tale {
	return s.add(history.Deed{Verb: history.Resign, Owner: owner}, f)
}

func (s *tale) shows(leader string, term uint64, token string, candidates ...string) *tale {
	return s.add(history.Deed{Verb: history.Read}, history.Finding{Leader: leader, Term: term, Token: token, Candidates: candidates})
}

func (s *tale) plus(delta, value int64) *tale {
	return s.add(history.Deed{Verb: history.Add, Delta: delta}, history.Finding{Value: value})
}

func (s *tale) is(value int64) *tale {
	return s.add(history.Deed{Verb: history.Read}, history.Finding{Value: value})
}

func of(object string) *tale { return &tale{object: object} }

// lock and others are objects; a lock of these tales has three permits.
func lock() *tale     { return of("lock.l") }
func election() *tale { return of("election.e") }
func counter() *tale  { return of("counter.c") }

func with(token string) history.Finding { return history.Finding{Token: token} }

func holder(owner string, has int, token string) history.Party {
	return history.Party{Owner: owner, Has: has, Token: token}
}

var (
	done    = history.Finding{}
	refused = history.Finding{Fate: history.Refused}
	unsure  = history.Finding{Fate: history.Unknown}
	nothing = history.Finding{Fate: history.Undone}
)

func TestHistoriesThatOneObjectExplainsAreLinearizable(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*tale{
		"a lock passes on": lock().reads("").acquire("a", 3, with("1")).reads("1", holder("a", 3, "1")).acquire("b", 3, refused).
			release("a", done).release("a", done).acquire("b", 3, with("2")).reads("2", holder("b", 3, "2")),
		"readers of one transition share a token": lock().acquire("a", 1, with("1")).acquire("b", 1, with("1")).beside(2).
			acquire("c", 3, refused),
		"a waiter has it when another releases": lock().acquire("a", 3, with("1")).release("a", done).acquire("b", 3, with("2")).beside(2),
		"a lease ends and nobody is told": lock().acquire("a", 3, with("1")).ends("a").acquire("b", 3, refused).
			acquire("c", 3, with("2")),
		"a lease ends later": lock().acquire("a", 3, with("1")).ends("a").acquire("b", 3, refused).
			reads("1", holder("a", 3, "1")).release("a", unsure).reads("1").acquire("c", 3, with("2")),
		"an unknown acquire that happens late": lock().acquire("a", 3, unsure).acquire("b", 3, with("1")).release("b", done).
			acquire("c", 3, refused).reads("2", holder("a", 3, "2")).ends("a").acquire("c", 3, with("3")),
		"an unknown acquire and an unknown release that never happen": lock().acquire("a", 3, unsure).
			acquire("b", 3, with("1")).release("b", unsure).acquire("c", 3, refused),
		"what was not done": lock().acquire("a", 3, nothing).acquire("b", 3, with("1")).release("b", nothing).acquire("c", 3, refused),
		"permits up to the limit": of("semaphore.s").acquire("a", 2, with("1")).acquire("b", 1, with("2")).
			acquire("c", 1, refused).release("a", done).acquire("c", 2, with("3")),

		"leaders follow in the order of coming": election().shows("", 0, "").campaign("a", done).leads("a", 1, "1").campaign("b", done).
			campaign("c", done).shows("a", 1, "1", "b", "c").resign("a", done).shows("b", 2, "2", "c").leads("b", 2, "2").
			resign("c", done).resign("b", done).shows("", 2, "2"),
		"the preferred go first, and push nobody out": election().preferred("a", 0).preferred("b", 0).preferred("c", 1).
			shows("a", 1, "1", "c", "b").resign("a", done).shows("c", 2, "2", "b"),
		"a leader hands over and is the last": election().campaign("a", done).campaign("b", done).campaign("c", done).
			transfer("a", "c", done).shows("c", 2, "2", "b", "a").leads("c", 2, "2"),
		"a transfer that happens late": election().campaign("a", done).campaign("b", done).transfer("a", "b", unsure).
			shows("a", 1, "1", "b").shows("b", 2, "2", "a"),
		"a leader hands over to itself": election().campaign("a", done).campaign("b", done).
			transfer("a", "a", done).shows("a", 1, "1", "b").transfer("a", "a", unsure),
		"a leader's lease ends": election().campaign("a", done).leads("a", 1, "1").campaign("b", done).ends("a").
			shows("a", 1, "1", "b").shows("", 1, "1", "b").shows("b", 2, "2"),
		"two leases end, and nobody saw the second leader": election().campaign("a", done).campaign("b", done).campaign("c", done).
			shows("a", 1, "1", "b", "c").ends("a").ends("b").shows("c", 3, "3"),
		"two leases end at once": election().campaign("a", done).campaign("b", done).campaign("c", done).
			shows("a", 1, "1", "b", "c").ends("a").ends("b").shows("c", 2, "2"),
		"an unknown campaign that happens late": election().campaign("a", unsure).campaign("b", done).leads("b", 1, "1").
			shows("b", 1, "1", "a").resign("b", unsure).shows("a", 2, "2"),

		"sums": counter().is(0).plus(3, 3).plus(-5, -2).is(-2),
		"an unknown addition that happens, and one that does not": counter().add(history.Deed{Verb: history.Add, Delta: 3}, unsure).
			plus(2, 2).is(5).add(history.Deed{Verb: history.Add, Delta: 7}, unsure).is(5),
	} {
		for _, b := range history.Judge(s.events, time.Minute) {
			t.Errorf("%s: %v", name, b)
		}
	}
}

// The names say what an object would have done that answered so.
func TestHistoriesThatNoObjectExplainsAreFound(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*tale{
		"a double grant":                          lock().acquire("a", 3, with("1")).acquire("b", 3, with("2")),
		"a double grant at once":                  lock().acquire("a", 3, with("1")).acquire("b", 3, with("2")).beside(2).release("b", done),
		"exclusive beside shared":                 lock().acquire("a", 1, with("1")).acquire("b", 3, with("2")),
		"shared beside exclusive":                 lock().acquire("a", 3, with("1")).acquire("b", 1, with("2")),
		"a grant beside one whose lease is sound": lock().acquire("a", 3, with("1")).acquire("b", 3, with("2")).ends("a"),
		"a grant to the dead":                     lock().acquire("a", 3, with("1")).ends("a").reads("1").acquire("a", 3, with("2")),
		"a lost release":                          lock().acquire("a", 3, with("1")).release("a", done).acquire("b", 3, refused),
		"a lost release that shows":               lock().acquire("a", 3, with("1")).release("a", done).reads("1", holder("a", 3, "1")),
		"a lost grant":                            lock().acquire("a", 3, with("1")).reads("1"),
		"a grant that comes back":                 lock().acquire("a", 3, with("1")).ends("a").reads("1").reads("1", holder("a", 3, "1")),
		"a refused one who has it":                lock().acquire("a", 3, refused).reads("1", holder("a", 3, "1")),
		"one that was not done and shows":         lock().acquire("a", 3, nothing).reads("1", holder("a", 3, "1")),
		"a token that stays":                      lock().acquire("a", 3, with("1")).release("a", done).acquire("b", 3, with("1")),
		"a token that goes back":                  lock().acquire("a", 3, with("2")).release("a", done).acquire("b", 3, with("1")),
		"a token that goes back for readers":      lock().acquire("a", 1, with("2")).acquire("b", 1, with("1")),
		"a reader's token for a writer":           lock().acquire("a", 1, with("1")).release("a", done).acquire("b", 3, with("1")),
		"another token in a read":                 lock().acquire("a", 3, with("1")).reads("2", holder("a", 3, "2")),
		"an unknown acquire that happens twice": lock().acquire("a", 3, unsure).reads("1", holder("a", 3, "1")).release("a", done).
			reads("1").reads("2", holder("a", 3, "2")),
		"more permits than there are": of("semaphore.s").acquire("a", 2, with("1")).acquire("b", 2, with("2")),
		"a lost release of permits":   of("semaphore.s").acquire("a", 3, with("1")).release("a", done).acquire("b", 3, refused),

		"two leaders of one term":                    election().campaign("a", done).leads("a", 1, "1").campaign("b", done).leads("b", 1, "1"),
		"two leaders at once":                        election().campaign("a", done).leads("a", 1, "1").campaign("b", done).leads("b", 2, "2"),
		"a leader who has resigned":                  election().campaign("a", done).resign("a", done).leads("a", 1, "1"),
		"a term that is left out":                    election().campaign("a", done).leads("a", 1, "1").campaign("b", done).resign("a", done).shows("b", 3, "2"),
		"a term that goes back":                      election().campaign("a", done).leads("a", 1, "1").resign("a", done).campaign("b", done).leads("b", 1, "2"),
		"a token of a leader that is old":            election().campaign("a", done).leads("a", 1, "2").resign("a", done).campaign("b", done).leads("b", 2, "1"),
		"a preferred one who waits":                  election().preferred("a", 0).preferred("b", 0).preferred("c", 1).shows("a", 1, "1", "b", "c"),
		"a preferred one who pushes":                 election().preferred("a", 0).preferred("c", 1).shows("c", 2, "2", "a"),
		"a transfer to nobody":                       election().campaign("a", done).transfer("a", "b", done),
		"a transfer to oneself by who does not lead": election().campaign("a", done).campaign("b", done).transfer("b", "b", done),
		"a lost transfer":                            election().campaign("a", done).campaign("b", done).transfer("a", "b", done).shows("a", 1, "1", "b"),
		"a transfer within a term":                   election().campaign("a", done).campaign("b", done).leads("a", 1, "1").transfer("a", "b", done).leads("b", 1, "2"),
		"a lost candidate":                           election().campaign("a", done).campaign("b", done).resign("a", done).shows("", 1, "1"),
		"a candidate who jumps the queue":            election().campaign("a", done).campaign("b", done).campaign("c", done).resign("a", done).shows("c", 2, "2", "b"),
		"a leader whose lease is sound":              election().campaign("a", done).campaign("b", done).shows("b", 2, "2").ends("a"),
		"a lost resignation":                         election().campaign("a", done).resign("a", done).shows("a", 1, "1"),
		"a dead one who is elected":                  election().campaign("a", done).campaign("b", done).ends("b").shows("a", 1, "1").resign("a", done).shows("b", 2, "2"),
		"a change of leader without cause":           election().campaign("a", done).campaign("b", done).leads("a", 1, "1").leads("b", 2, "2"),

		"a lost addition":              counter().plus(3, 3).plus(2, 2),
		"a lost addition that shows":   counter().plus(3, 3).is(0),
		"an addition that is repeated": counter().plus(3, 3).is(6),
		"two additions of one sum":     counter().plus(3, 3).plus(3, 3).beside(2),
		"an unknown addition twice":    counter().add(history.Deed{Verb: history.Add, Delta: 3}, unsure).is(6),
		"a sum that goes back":         counter().add(history.Deed{Verb: history.Add, Delta: 3}, unsure).is(3).is(0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := history.Judge(s.events, time.Minute)
			if len(found) != 1 || found[0].Result != "Illegal" {
				t.Fatalf("got breaches %v; want one that is Illegal", found)
			}
			var page strings.Builder
			if err := found[0].Draw(&page); err != nil || page.Len() == 0 {
				t.Errorf("draw: %d bytes, %v", page.Len(), err)
			}
		})
	}
}

func TestABreachShowsWhatCannotBeExplained(t *testing.T) {
	t.Parallel()
	s := lock().acquire("a", 3, with("1")).release("a", done).acquire("b", 3, refused)
	found := history.Judge(s.events, time.Minute)
	if len(found) != 1 {
		t.Fatalf("got %d breaches; want 1", len(found))
	}
	_, rest, _ := strings.Cut(found[0].String(), "none of these can be next:")
	if !strings.Contains(rest, "acquire lock.l by b 3 of 3: refused") || strings.Contains(rest, "by a") {
		t.Errorf("it shows:\n%v", found[0])
	}
}

func TestObjectsAreJudgedApart(t *testing.T) {
	t.Parallel()
	events := slices.Concat(lock().acquire("a", 3, with("1")).events, of("lock.m").acquire("b", 3, with("1")).events,
		counter().plus(3, 4).events)
	found := history.Judge(events, time.Minute)
	if len(found) != 1 || found[0].Object != "counter.c" {
		t.Errorf("got breaches %v; want one of the counter", found)
	}
}

// Where the registry is away many campaigns and acquires have no known outcome, and leases
// end. In which order all that may have come about need not be known where nobody saw it.
func TestWhatNobodyWasShownDoesNotHideWhatHasHappened(t *testing.T) {
	t.Parallel()
	election, lock := &tale{object: "election.a"}, &tale{object: "lock.a"}
	for i := range 20 { // a to t
		owner := string(rune('a' + i))
		election.campaign(owner, unsure).ends(owner)
		lock.acquire(owner, 3, unsure).ends(owner)
	}
	election.campaign("x", done).leads("x", 1, "1").campaign("y", done).shows("x", 1, "1", "y")
	lock.acquire("x", 3, history.Finding{Token: "1"}).reads("1", history.Party{Owner: "x", Has: 3, Token: "1"})
	for _, s := range []*tale{election, lock} {
		for _, b := range history.Judge(s.events, 20*time.Second) {
			t.Error(b)
		}
	}
	election.shows("a", 1, "1", "y")
	lock.reads("1", history.Party{Owner: "a", Has: 3, Token: "1"})
	for _, s := range []*tale{election, lock} {
		if found := history.Judge(s.events, time.Second); len(found) != 1 {
			t.Errorf("%s: got %v; want a breach", s.object, found)
		}
	}
}
