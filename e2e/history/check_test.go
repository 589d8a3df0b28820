package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/e2e/history"
)

// past is a history in the making: one operation each time unit, unless it is stretched.
type past struct{ records []history.Record }

func (p *past) add(ask history.Ask, answer history.Answer) *past {
	at := time.Duration(len(p.records)) * time.Second
	ask.Key = "k"
	p.records = append(p.records, history.Record{
		Client: len(p.records) % 3, Ask: ask, Answer: answer, Call: at, Return: at + time.Second/2,
	})
	return p
}

func (p *past) register(content string, answer history.Answer) *past {
	return p.add(history.Ask{Kind: history.Register, Content: content}, answer)
}

func (p *past) registerIf(content string, r backend.Revision, answer history.Answer) *past {
	return p.add(history.Ask{Kind: history.Register, Content: content, If: true, Revision: r}, answer)
}

func (p *past) update(content string, answer history.Answer) *past {
	return p.add(history.Ask{Kind: history.Update, Content: content}, answer)
}

func (p *past) updateIf(content string, r backend.Revision, answer history.Answer) *past {
	return p.add(history.Ask{Kind: history.Update, Content: content, If: true, Revision: r}, answer)
}

func (p *past) unregister(answer history.Answer) *past {
	return p.add(history.Ask{Kind: history.Unregister}, answer)
}

func (p *past) unregisterIf(r backend.Revision, answer history.Answer) *past {
	return p.add(history.Ask{Kind: history.Unregister, If: true, Revision: r}, answer)
}

func (p *past) lookup(answer history.Answer) *past {
	return p.add(history.Ask{Kind: history.Lookup}, answer)
}

// beside makes the last n operations concurrent.
func (p *past) beside(n int) *past {
	last := p.records[len(p.records)-n:]
	for i := range last {
		last[i].Call, last[i].Return = last[0].Call, p.records[len(p.records)-1].Return
	}
	return p
}

// made is the answer to a write, and to a look-up of what it wrote.
func made(content string, r backend.Revision) history.Answer {
	return history.Answer{Fate: history.Done, Content: content, Revision: r}
}

func removed(r backend.Revision) history.Answer { return made("", r) }

func conflict(current backend.Revision) history.Answer {
	return history.Answer{Fate: history.Conflict, Revision: current}
}

var (
	absent  = history.Answer{Fate: history.Absent}
	undone  = history.Answer{Fate: history.Undone}
	unknown = history.Answer{Fate: history.Unknown}
)

func TestHistoriesThatOneRegistrationExplainsAreLinearizable(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*past{
		"every operation once": new(past).lookup(absent).update("a", absent).unregister(absent).
			register("a", made("a", 3)).lookup(made("a", 3)).registerIf("b", 0, conflict(3)).
			updateIf("c", 3, made("c", 5)).updateIf("d", 3, conflict(5)).unregisterIf(3, conflict(5)).
			unregisterIf(5, removed(9)).lookup(absent).unregisterIf(5, conflict(0)).
			registerIf("e", 5, conflict(0)).registerIf("f", 0, made("f", 10)),
		"a write that changes nothing": new(past).register("a", made("a", 3)).register("a", made("a", 3)).
			updateIf("a", 3, made("a", 3)).lookup(made("a", 3)),
		"one of two at once": new(past).registerIf("a", 0, conflict(4)).registerIf("b", 0, made("b", 4)).beside(2),
		"a look-up beside a write sees what was before": new(past).register("a", made("a", 3)).lookup(absent).beside(2).
			lookup(made("a", 3)),
		"an unknown write that never happens": new(past).register("a", made("a", 3)).update("b", unknown).
			lookup(made("a", 3)).updateIf("c", 3, made("c", 4)),
		"an unknown write that happens at once": new(past).register("a", made("a", 3)).update("b", unknown).
			lookup(made("b", 4)).updateIf("c", 3, conflict(4)),
		"an unknown write that happens late": new(past).register("a", unknown).lookup(absent).
			registerIf("b", 0, made("b", 2)).lookup(made("b", 2)).lookup(made("a", 7)),
		"an unknown removal that happens late": new(past).register("a", made("a", 3)).unregister(unknown).
			lookup(made("a", 3)).lookup(absent).unregister(absent),
		"an unknown write that only its revision shows": new(past).register("a", made("a", 3)).update("b", unknown).
			updateIf("c", 3, conflict(4)).unregisterIf(4, removed(5)),
		"an unknown write that only a removal shows": new(past).register("a", unknown).unregister(removed(4)),
		"a conditional unknown write too late to happen": new(past).register("a", made("a", 3)).updateIf("b", 3, unknown).
			update("c", made("c", 4)).lookup(made("c", 4)),
		"nothing of what was not done": new(past).register("a", undone).lookup(absent).register("b", made("b", 2)).
			unregister(undone).lookup(undone).lookup(made("b", 2)),
	} {
		for _, v := range history.Check(p.records, time.Minute) {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func TestHistoriesThatNoRegistrationExplainsAreFound(t *testing.T) {
	t.Parallel()
	ab := func() *past { return new(past).register("a", made("a", 3)).register("b", made("b", 4)) }
	for name, p := range map[string]*past{
		"a stale look-up":                       ab().lookup(made("a", 3)),
		"a look-up that goes back":              ab().beside(2).lookup(made("b", 4)).lookup(made("a", 3)),
		"a lost write":                          new(past).register("a", made("a", 3)).lookup(absent),
		"a lost update":                         new(past).register("a", made("a", 3)).update("b", made("b", 4)).updateIf("c", 3, made("c", 5)),
		"a lost removal":                        new(past).register("a", made("a", 3)).unregister(removed(4)).lookup(made("a", 3)),
		"a removal of nothing":                  new(past).unregister(removed(4)),
		"a registration that is denied":         new(past).register("a", made("a", 3)).update("b", absent),
		"a write reported undone that appears":  new(past).register("a", undone).lookup(made("a", 3)),
		"a removal reported undone that shows":  new(past).register("a", made("a", 3)).unregister(undone).lookup(absent),
		"a write reported undone appears late":  new(past).update("a", undone).register("b", made("b", 2)).lookup(made("b", 2)).lookup(made("a", 3)),
		"an undone write that a conflict shows": new(past).register("a", made("a", 3)).update("b", undone).updateIf("c", 3, conflict(4)),
		"an unknown write that happens twice": new(past).register("a", unknown).lookup(made("a", 3)).
			unregister(removed(4)).lookup(made("a", 5)),
		"an unknown write from before it was made": new(past).lookup(made("a", 3)).register("a", unknown),
		"two winners of one free name":             new(past).registerIf("a", 0, made("a", 3)).registerIf("b", 0, made("b", 4)).beside(2),
		"two winners of one revision": new(past).register("a", made("a", 3)).
			updateIf("b", 3, made("b", 4)).updateIf("c", 3, made("c", 5)).beside(2),
		"a conflict with what it asks for": new(past).register("a", made("a", 3)).updateIf("b", 3, conflict(3)),
		"a conflict of old":                ab().updateIf("c", 4, conflict(3)),
		"a conflict with nothing there":    new(past).registerIf("a", 0, conflict(3)),
		"a revision that stays":            new(past).register("a", made("a", 3)).register("b", made("b", 3)),
		"a revision that shrinks":          new(past).register("a", made("a", 3)).register("b", made("b", 2)),
		"a removal that shrinks":           new(past).register("a", made("a", 3)).unregister(removed(2)),
		"a revision that shrinks behind an unknown write": new(past).register("a", made("a", 3)).
			update("b", unknown).lookup(made("b", 2)),
		"a repeated content with a new revision": new(past).register("a", made("a", 3)).register("a", made("a", 4)),
		"another revision of the same":           new(past).register("a", made("a", 3)).lookup(made("a", 4)),
		"another's content":                      new(past).register("a", made("b", 3)),
		"content of nobody":                      new(past).lookup(made("x", 3)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := history.Check(p.records, time.Minute)
			if len(found) != 1 || found[0].Result != "Illegal" {
				t.Fatalf("got violations %v; want one that is Illegal", found)
			}
			var page strings.Builder
			if err := found[0].Draw(&page); err != nil || page.Len() == 0 {
				t.Errorf("draw: %d bytes, %v", page.Len(), err)
			}
		})
	}
}

func TestAViolationShowsWhatCannotBeExplained(t *testing.T) {
	t.Parallel()
	p := new(past).register("a", made("a", 3)).register("b", made("b", 4)).lookup(made("a", 3))
	found := history.Check(p.records, time.Minute)
	if len(found) != 1 {
		t.Fatalf("got %d violations; want 1", len(found))
	}
	_, rest, _ := strings.Cut(found[0].String(), "none of these can be next:")
	if !strings.Contains(rest, "client 2: look up k: a at 3") || strings.Contains(rest, "register") {
		t.Errorf("it shows:\n%v", found[0])
	}
}

func TestAWriteThatWasBegunAfterTheLastAnswerMayNeverHappen(t *testing.T) {
	t.Parallel()
	p := new(past).register("a", made("a", 3)).register("b", unknown)
	p.records[1].Call, p.records[1].Return = time.Minute, 0
	for _, v := range history.Check(p.records, time.Minute) {
		t.Error(v)
	}
}

func TestKeysAreJudgedApart(t *testing.T) {
	t.Parallel()
	p := new(past).register("a", made("a", 3)).lookup(absent).lookup(made("a", 2))
	records := slices.Clone(p.records)
	records[1].Ask.Key, records[2].Ask.Key = "free", "stale"
	found := history.Check(records, time.Minute)
	if len(found) != 1 || found[0].Key != "stale" {
		t.Errorf("got violations %v; want one of stale", found)
	}
}

func TestARecorderKeepsWhatWasAnsweredAndWhen(t *testing.T) {
	t.Parallel()
	h := history.New()
	ask := history.Ask{Kind: history.Register, Key: "k", Content: "a"}
	if got := h.Do(4, ask, func() history.Answer { return unknown }); got != unknown {
		t.Errorf("got answer %v; want %v", got, unknown)
	}
	records := h.Records()
	if len(records) != 1 || records[0].Client != 4 || records[0].Ask != ask || records[0].Answer != unknown || records[0].Return < records[0].Call {
		t.Errorf("got %+v", records)
	}
	if h.Count(history.Unknown, history.Done) != 1 || h.Count(history.Done) != 0 {
		t.Errorf("got %d unknown and done, %d done", h.Count(history.Unknown, history.Done), h.Count(history.Done))
	}
}
