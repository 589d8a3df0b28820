package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
	"github.com/roostbus/roost/e2e/natstest"
)

const (
	historyClients = 8
	historyKeys    = 5
	historyTries   = 40 // one call in so many is given almost no time

	// Short, so that writes are given up whose fate is not known.
	historyWriteTimeout = 400 * time.Millisecond
	historyReadTimeout  = time.Second
)

// historian is one client at work: what it knows of each key, which others change.
type historian struct {
	number  int
	c       *client.Client
	h       *history.Recorder
	random  *rand.Rand
	written int
	known   map[string]history.Answer
}

// work makes one operation after another until ctx is done.
func (w *historian) work(ctx context.Context, t *testing.T) {
	t.Helper()
	for ctx.Err() == nil && !t.Failed() {
		ask := w.choose()
		answer := w.h.Do(w.number, ask, func() history.Answer { return w.do(t, ask) })
		switch {
		case ask.Kind == history.Unregister && answer.Fate == history.Done:
		case answer.Fate == history.Done:
			w.known[ask.Key] = answer
		case answer.Fate == history.Conflict:
			// The next condition on this key holds if nobody was faster.
			w.known[ask.Key] = history.Answer{Content: w.known[ask.Key].Content, Revision: answer.Revision}
		}
	}
}

// choose returns the next thing to ask.
func (w *historian) choose() history.Ask {
	ask := history.Ask{Key: fmt.Sprintf("i-%d", w.random.IntN(historyKeys))}
	known := w.known[ask.Key]
	switch n := w.random.IntN(100); {
	case n < 40:
		ask.Kind = history.Lookup
		return ask
	case n < 68:
		ask.Kind = history.Register
	case n < 86:
		ask.Kind = history.Update
	default:
		ask.Kind = history.Unregister
	}
	switch n := w.random.IntN(10); {
	case n < 4 && known.Revision != 0:
		ask.If, ask.Revision = true, known.Revision
	case n < 7 && ask.Kind == history.Register:
		ask.If = true
	}
	switch {
	case ask.Kind == history.Unregister:
	case known.Content != "" && w.random.IntN(8) == 0:
		ask.Content = known.Content // which changes nothing if it is there still
	default:
		w.written++
		ask.Content = fmt.Sprintf("%d-%d", w.number, w.written)
	}
	return ask
}

// do asks the registry.
func (w *historian) do(t *testing.T, ask history.Ask) history.Answer {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if w.random.IntN(historyTries) == 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.random.Int64N(int64(500*time.Microsecond))))
		defer cancel()
	}
	key := paymentsKey(ask.Key)
	metadata, err := client.MetadataOf(map[string]string{"written": ask.Content})
	if err != nil {
		t.Error(err)
	}
	var how client.Write
	if ask.If {
		how.If = client.IfRevision(ask.Revision)
	}
	var r client.Registration
	switch ask.Kind {
	case history.Register:
		r, _, err = w.c.Register(ctx, client.Registration{Key: key, Metadata: metadata}, how)
	case history.Update:
		r, _, err = w.c.Update(ctx, key, client.Change{Metadata: &metadata}, how)
	case history.Lookup:
		r, _, err = w.c.Lookup(ctx, key, client.Read{Consistency: client.Linearizable})
	case history.Unregister:
		var removal client.Removal
		removal, _, err = w.c.Unregister(ctx, key, how)
		if err == nil && !removal.Removed {
			return history.Answer{Fate: history.Absent}
		}
		r.Revision = removal.Revision
	}
	if err != nil {
		return failed(t, ask, err)
	}
	return history.Answer{Fate: history.Done, Content: written(t, r), Revision: r.Revision}
}

func failed(t *testing.T, ask history.Ask, err error) history.Answer {
	t.Helper()
	conflict, isConflict := errors.AsType[*backend.ConflictError](err)
	switch {
	case errors.Is(err, client.ErrUnknownOutcome) && ask.Kind != history.Lookup:
		return history.Answer{Fate: history.Unknown}
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrLimitExceeded):
		return history.Answer{Fate: history.Undone}
	case errors.Is(err, client.ErrNotFound):
		return history.Answer{Fate: history.Absent}
	case isConflict:
		return history.Answer{Fate: history.Conflict, Revision: conflict.Revision}
	}
	t.Errorf("%v: %v", ask, err)
	return history.Answer{Fate: history.Unknown}
}

func written(t *testing.T, r client.Registration) string {
	if len(r.Metadata) == 0 {
		return ""
	}
	var body struct{ Written string }
	if err := json.Unmarshal([]byte(r.Metadata), &body); err != nil {
		t.Error(err)
	}
	return body.Written
}

// trial is clients at work on one registry.
type trial struct {
	h     *history.Recorder
	least int // how many operations must have an answer for the history to count
}

// underLoad has clients work through connections of their own while faults goes on, and
// until enough has been answered, and checks their history.
func underLoad(t *testing.T, prefix string, connect func() *nats.Conn, faults func(l *trial)) {
	t.Helper()
	l := &trial{h: history.New(), least: 3000}
	if testing.Short() {
		l.least = 600
	}
	seed := rand.Uint64()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for n := range historyClients {
		c, err := client.New(connect(), client.WithPrefix(prefix),
			client.WithWriteTimeout(historyWriteTimeout), client.WithReadTimeout(historyReadTimeout))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		w := &historian{
			number: n, c: c, h: l.h, random: rand.New(rand.NewPCG(seed, uint64(n))), known: map[string]history.Answer{},
		}
		clients.Go(func() { w.work(ctx, t) })
	}
	faults(l)
	l.answered(t, l.least-l.done())
	cancel()
	clients.Wait()
	l.check(t)
}

// done says how many operations have an answer.
func (l *trial) done() int { return l.h.Count(history.Done, history.Absent, history.Conflict) }

// answered waits until so many more operations have an answer.
func (l *trial) answered(t *testing.T, more int) {
	t.Helper()
	from := l.done()
	natstest.Await(t, fmt.Sprintf("%d more answers after %d", more, from), func() bool {
		return t.Failed() || l.done() >= from+more
	})
}

// check fails a test whose history is not linearizable, or says too little.
func (l *trial) check(t *testing.T) {
	t.Helper()
	counts := map[string]int{
		"answered": l.done(), "done": l.h.Count(history.Done), "conflicts": l.h.Count(history.Conflict),
		"unknown": l.h.Count(history.Unknown), "not done": l.h.Count(history.Undone),
	}
	t.Logf("operations: %v", counts)
	if counts["answered"] < l.least || counts["conflicts"] == 0 || counts["unknown"]+counts["not done"] == 0 {
		t.Fatalf("the history does not count: %v; want %d answered, conflicts, and some without an answer", counts, l.least)
	}
	for _, v := range history.Check(l.h.Records(), 2*time.Minute) {
		t.Error(v)
		page, err := os.Create(filepath.Join(os.TempDir(), "roost-history-"+t.Name()+"-"+v.Key+".html"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(v.Draw(page), page.Close()); err != nil {
			t.Fatal(err)
		}
		t.Logf("the whole history of %s: %s", v.Key, page.Name())
	}
}
