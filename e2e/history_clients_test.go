package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/faults"
	"github.com/roostbus/roost/e2e/history"
	"github.com/roostbus/roost/e2e/natstest"
)

const (
	historyClients = 8

	// Short, so that writes are given up whose fate is not known.
	historyWriteTimeout = 400 * time.Millisecond
	historyReadTimeout  = time.Second
)

// trial is clients at work on one registry.
type trial struct {
	h     *history.Recorder
	least int // how many operations must have an answer for the history to count
}

// underLoad has clients work through connections of their own while fails goes on, and
// until enough has been answered, and checks their history.
func underLoad(t *testing.T, prefix string, connect func() *nats.Conn, fails func(l *trial)) {
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
		w := &faults.Historian{Number: n, Client: c, Record: l.h.Do, Wrong: t.Errorf, Random: rand.New(rand.NewPCG(seed, uint64(n)))}
		clients.Go(func() { w.Work(ctx) })
	}
	fails(l)
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
