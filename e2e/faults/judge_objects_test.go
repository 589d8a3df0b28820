package faults

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// played is a history of objects in which nothing is wrong.
func played() *Log {
	l := NewLog()
	l.ends = []End{{"gone", 50, 1, 4 * sec, 5 * sec}}
	l.roles = []Role{
		{"lock.a-0", []string{"gone"}, 40, 1, 3 * sec, 4500 * time.Millisecond},
		{"lock.a-0", []string{"o"}, 60, 1, 6 * sec, 7 * sec},
		{"lock.a-0", []string{"gone"}, 20, 2, 4500 * time.Millisecond, 6 * sec}, // in another epoch revisions say nothing
	}
	for term := uint64(1); term <= 20; term++ {
		owner := fmt.Sprint("o", term)
		at := time.Duration(term) * sec
		l.reigns = append(l.reigns, reign("", owner, term, at), reign("observer", owner, term, at), reign("observer", "", term, at+sec/2))
		if term == 1 || term > 4 { // away for 2 to 4, of which 2 to 20 leave out those that a record forgets
			l.reigns = append(l.reigns, reign("late", owner, term, 30*sec+at))
		}
	}
	l.queues = []Queue{
		{"lock.queue-0", []string{"a"}, []string{"b", "c"}, 1 * sec, 2 * sec},
		{"lock.queue-0", []string{"b"}, []string{"c", "d"}, 3 * sec, 4 * sec},
	}
	l.served = []Served{{"lock.queue-0", "a", "1", 1 * sec}, {"lock.queue-0", "b", "2", 3 * sec}, {"lock.queue-0", "c", "3", 5 * sec}}
	l.met = []Arrival{
		arrival("a", 1, history.Done, 1*sec, 4*sec), arrival("b", 1, history.Undone, 1*sec, 2*sec),
		arrival("c", 1, history.Done, 2500*time.Millisecond, 4*sec), arrival("d", 1, history.Unknown, 3*sec, 4*sec),
		arrival("b2", 1, history.Done, 5*sec, 6*sec), // which was told at once
		arrival("e", 2, history.Undone, 5*sec, 7*sec),
	}
	l.meets = []Meeting{{"barrier.meet-0", 1, 1 * sec, 2 * sec}, {"barrier.meet-0", 2, 3500 * time.Millisecond, 5 * sec}}
	l.lives = []*Life{{Owner: yes("p", 0), Sure: []Span{{0, 20 * sec}}}, {Owner: yes("p", 1), Sure: []Span{{0, 20 * sec}}}, {Owner: no("p"), Sure: []Span{{0, 20 * sec}}}}
	l.motions = []Motion{
		motion(client.Voting, "", 0, 1*sec, 2*sec, yes("p", 0)),
		motion(client.Committed, "", 70, 3*sec, 3*sec, yes("p", 0), yes("p", 1)),
		motion(client.Committed, "", 0, 4*sec, 5*sec, yes("p", 1), yes("p", 0)),
	}
	l.silent = []Silence{{"L2", "s", 1 * sec, 4 * sec, 2 * sec, 3 * sec}, {"L5", "t", 1 * sec, 0, 4 * sec, 0}}
	return l
}

func reign(observer, owner string, term uint64, at time.Duration) Reign {
	return Reign{Observer: observer, Object: "election.reign-0", Owner: owner, Term: term, Token: fmt.Sprintf("%02d", term), At: at}
}

func arrival(party string, generation uint64, fate history.Fate, call, returned time.Duration) Arrival {
	return Arrival{"barrier.meet-0", party, 3, generation, fate, call, returned}
}

// yes returns the n-th owner who accepts a proposal, no the first who does not.
func yes(id string, n int) string { return voting(id, true, n) }
func no(id string) string         { return voting(id, false, 0) }

func voting(id string, accept bool, n int) string {
	for i := 0; ; i++ {
		owner := fmt.Sprint("voter", i)
		if accepts(id, owner) != accept {
			continue
		}
		if n--; n < 0 {
			return owner
		}
	}
}

// motion is proposal p, which two of three must accept, with votes of owners.
func motion(d client.Decision, reason string, announced client.Revision, call, returned time.Duration, owners ...string) Motion {
	m := Motion{Object: "proposal.votes-0", Announced: announced, Call: call, Return: returned, Proposal: client.Proposal{
		ID: "p", Voters: []string{yes("p", 0), yes("p", 1), no("p")}, Quorum: 2, Timeout: 3 * sec, Decision: d, Reason: reason,
	}}
	for _, owner := range owners {
		m.Votes = append(m.Votes, client.Vote{Owner: owner, Accept: accepts("p", owner)})
	}
	return m
}

func TestObjectsThatAreAsTheyShouldBeAreNotComplainedAbout(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Log){
		"as it is": func(*Log) {},
		"what was lost": func(l *Log) {
			l.losses = []Window{{4500 * time.Millisecond, 5 * sec}}
			l.reigns = append(l.reigns, reign("observer", "other", 1, 40*sec))
			l.queues = append(l.queues, Queue{"lock.queue-0", nil, []string{"c", "b"}, 7 * sec, 8 * sec})
			l.meets = append(l.meets, Meeting{"barrier.meet-0", 1, 7 * sec, 8 * sec})
			l.motions = append(l.motions, motion(client.Voting, "", 0, 7*sec, 8*sec))
		},
		"a proposal that is out of time": func(l *Log) {
			m := motion(client.Aborted, timeout, 0, 1*sec, 5*sec, yes("p", 0))
			m.Proposed = 1 * sec
			l.motions = []Motion{m}
		},
		"a proposal that a death refuses": func(l *Log) {
			l.lives[1].Sure = nil
			l.motions = []Motion{motion(client.Aborted, refused, 0, 1*sec, 2*sec, no("p"))}
		},
	} {
		l := played()
		change(l)
		for _, v := range Judge(l) {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func TestWhatIsWrongWithObjectsIsFound(t *testing.T) {
	t.Parallel()
	role := func(r Role) func(*Log) { return func(l *Log) { l.roles = append(l.roles, r) } }
	crown := func(r ...Reign) func(*Log) { return func(l *Log) { l.reigns = append(l.reigns, r...) } }
	came := func(a ...Arrival) func(*Log) { return func(l *Log) { l.met = append(l.met, a...) } }
	voted := func(m ...Motion) func(*Log) { return func(l *Log) { l.motions = append(l.motions, m...) } }
	only := func(m ...Motion) func(*Log) { return func(l *Log) { l.motions = m } }
	hasty := motion(client.Aborted, timeout, 0, 3*sec, 3500*time.Millisecond)
	hasty.Proposed = 1 * sec
	for name, test := range map[string]struct {
		promise string
		change  func(*Log)
	}{
		"a role of one whose end is seen":   {"C6", role(Role{"lock.a-0", []string{"o", "gone"}, 50, 1, 4500 * time.Millisecond, 6 * sec})},
		"a role that is asked for after it": {"C6", role(Role{"lock.a-0", []string{"gone"}, 0, 0, 6 * sec, 7 * sec})},
		"a term of two":                     {"C2, C3", crown(reign("", "other", 3, 3*sec))},
		"a term of which one was told else": {"C2, C3", crown(reign("other", "other", 3, 3*sec))},
		"an observer that goes back":        {"C3", crown(reign("observer", "o19", 19, 40*sec))},
		"a leader who is none any more":     {"C3", crown(reign("observer", "o20", 20, 40*sec))},
		"a token that does not grow": {"C3", func(l *Log) {
			l.reigns = append(l.reigns, Reign{"observer", 0, "election.reign-0", "o", 21, "20", 40 * sec})
		}},
		"a term that is missed":              {"C3", crown(reign("observer", "o", 22, 40*sec))},
		"a term that is missed for no cause": {"C3", crown(reign("x", "o1", 1, 1*sec), reign("x", "o3", 3, 3*sec), reign("x", "o4", 4, 4*sec))},
		"two who change their places": {"C5", func(l *Log) {
			l.queues = append(l.queues, Queue{"lock.queue-0", nil, []string{"d", "c"}, 4 * sec, 5 * sec})
		}},
		"one who is served before another": {"C5", func(l *Log) { l.served[1].Token, l.served[2].Token = "3", "2" }},
		"one who holds before another": {"C5", func(l *Log) {
			l.queues = append(l.queues, Queue{"lock.queue-0", []string{"d"}, []string{"c"}, 5 * sec, 6 * sec}, Queue{"lock.queue-0", nil, []string{"c"}, 7 * sec, 8 * sec})
		}},
		"a generation without enough parties": {"C8", func(l *Log) {
			l.met[3].Fate, l.met[3].Return = history.Undone, 3200*time.Millisecond
			l.met[3].Party = "a"
		}},
		"a generation with one who had left": {"C8", func(l *Log) { l.met[3].Call = 4500 * time.Millisecond }},
		"a generation that nobody came to":   {"C8", func(l *Log) { l.meets = append(l.meets, Meeting{"barrier.meet-0", 9, 6 * sec, 7 * sec}) }},
		"a generation of a repeat":           {"C8", came(arrival("f", 2, history.Done, 8*sec, 9*sec), arrival("f", 2, history.Done, 8*sec, 9*sec), arrival("g", 2, history.Done, 8*sec, 9*sec))},
		"a generation that comes again":      {"C8", func(l *Log) { l.meets = append(l.meets, Meeting{"barrier.meet-0", 1, 6 * sec, 7 * sec}) }},
		"another outcome":                    {"C7", voted(motion(client.Aborted, "admin", 0, 6*sec, 7*sec, yes("p", 0)))},
		"an outcome that is not final":       {"C7", voted(motion(client.Voting, "", 0, 6*sec, 7*sec, yes("p", 0)))},
		"an outcome that is announced twice": {"C7", voted(motion(client.Committed, "", 71, 4*sec, 4*sec, yes("p", 0), yes("p", 1)))},
		"a commit by too few":                {"C7", only(motion(client.Committed, "", 0, 3*sec, 4*sec, yes("p", 0), no("p")))},
		"no commit by enough":                {"C7", only(motion(client.Voting, "", 0, 3*sec, 4*sec, yes("p", 0), yes("p", 1)))},
		"a refusal by too few":               {"C7", only(motion(client.Aborted, refused, 0, 3*sec, 4*sec, no("p")))},
		"a vote that was not cast":           {"C7", func(l *Log) { l.motions[0].Votes[0].Accept = false }},
		"a vote of another":                  {"C7", func(l *Log) { l.motions[0].Voters = l.motions[0].Voters[1:] }},
		"a vote that counts twice":           {"C7", only(motion(client.Committed, "", 0, 3*sec, 4*sec, yes("p", 0), yes("p", 0)))},
		"a proposal that is cut short":       {"C7", only(hasty)},
		"a silent lease that does not end":   {"L2", func(l *Log) { l.silent[0].Lived, l.silent[0].Ended = 4100*time.Millisecond, 0 }},
		"a silent lease that is not held":    {"L5", func(l *Log) { l.silent[1].Ended = 4 * sec }},
	} {
		l := played()
		test.change(l)
		found := Judge(l)
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Promise == test.promise }) {
			t.Errorf("%s: got %v; want a violation of %s", name, found, test.promise)
		}
	}
}

func TestALogTellsForHowLongClocksStoodStill(t *testing.T) {
	t.Parallel()
	var l tail
	for _, part := range []string{
		`time=x level=WARN msg="the lease clock was stopped, and stood still" component=lease took=300ms` + "\ntime=x level=WARN msg=\"nothing could be heard, ",
		`and the lease clock stood still" component=lease took=250.5ms afresh=false` + "\n" + `time=x msg="lease ended" took=9s` + "\n",
	} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.stoodStill(); got != 550500*time.Microsecond {
		t.Errorf("it stood still for %v", got)
	}
}
