package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/faults"
)

// asActors makes the test binary be some clients of objects, with the settings that it
// holds: a process that can be killed and stopped in the midst of everything.
const asActors = "ROOST_TEST_ACTORS"

// actorSettings are those of such a process.
type actorSettings struct {
	URL            string
	First, Clients int // their numbers
	Seed           uint64
	TTL            time.Duration
	Began          int64 // when the history did, by the clock on the wall, which all have in common

	// Fenced, if not "", is where the one client writes that holds what Fenced names: see
	// fencedMain.
	Fenced, Role string
}

// actorsMain is some clients until in ends.
func actorsMain(settings string, in io.Reader, out io.Writer) error {
	var s actorSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	if s.Fenced != "" {
		return fencedMain(ctx, &s)
	}
	var mu sync.Mutex
	to := json.NewEncoder(out)
	say := func(n faults.Note) {
		mu.Lock()
		defer mu.Unlock()
		_ = to.Encode(n) // nobody reads it if that fails
	}
	subjects, err := bus.NewSubjects(keeperPrefix)
	if err != nil {
		return err
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for n := range s.Clients {
		nc, err := nats.Connect(s.URL, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1),
			nats.IgnoreDiscoveredServers(), nats.RetryOnFailedConnect(true), nats.PingInterval(time.Second))
		if err != nil {
			return err
		}
		defer nc.Close()
		c, err := client.New(nc, client.WithPrefix(keeperPrefix), client.WithWriteTimeout(time.Second), client.WithReadTimeout(time.Second))
		if err != nil {
			return err
		}
		a := &faults.Actor{
			Number: s.First + n, Client: c, Conn: nc, Subjects: subjects, Say: say, TTL: s.TTL, Began: time.Unix(0, s.Began),
			Random: rand.New(rand.NewPCG(s.Seed, uint64(s.First+n))),
		}
		tasks.Go(func() { a.Work(ctx) })
	}
	<-ctx.Done()
	return nil
}
