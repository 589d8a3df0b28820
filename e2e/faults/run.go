package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
)

const (
	clients = 8

	// What each client waits at most between two requests of a sort.
	writePause = 150 * time.Millisecond
	readPause  = 100 * time.Millisecond
	actorPause = 150 * time.Millisecond

	// tells is how many violations are told.
	tells = 20

	// betweenFaults is how many requests must be answered between two faults.
	betweenFaults = 50
)

// Run has clients use d while what p says goes wrong, and judges what they saw.
func Run(tb testing.TB, d Deployment, p Plan) {
	tb.Helper()
	w := newWorld(tb, d)
	if !w.poll("registry to begin with", func() bool {
		r, ok := w.report()
		return ok && r.Keeper != nil && r.Epoch != 0
	}) {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var tasks, watching sync.WaitGroup
	stop := func() {
		cancel()
		tasks.Wait()
	}
	defer stop()
	w.load(ctx, &tasks, p.Seed)
	follow, rest := context.WithCancel(context.WithoutCancel(tb.Context()))
	defer watching.Wait()
	defer rest()
	watchers := w.watchers(follow, &watching, p.Seed)
	w.answered("to begin with", betweenFaults)
	began := time.Now()
	for i, s := range p.Steps {
		if p.Lasts > 0 && time.Since(began) > p.Lasts || tb.Failed() {
			break
		}
		tb.Logf("%v: step %d: %v", time.Since(began).Round(time.Millisecond), i+1, s)
		w.suffer(s)
	}
	w.answered("at the end", betweenFaults)
	lasted := time.Since(began)
	w.finish(stop, watchers)
	rest()
	watching.Wait()
	if rate := float64(w.log.Answered()) / lasted.Seconds(); rate < float64(p.Least) {
		tb.Errorf("the run does not count: %.0f answers a second, want %d", rate, p.Least)
	}
	tb.Logf("in %v: %s", lasted.Round(time.Second), w.log.Summary())
	judged := time.Now()
	found := Judge(w.log)
	for _, v := range found[:min(len(found), tells)] {
		tb.Error(v)
	}
	if len(found) > tells {
		tb.Errorf("and %d more", len(found)-tells)
	}
	tb.Logf("judged in %v", time.Since(judged).Round(time.Millisecond))
}

// load starts the clients.
func (w *world) load(ctx context.Context, tasks *sync.WaitGroup, seed uint64) {
	scene := func() string { return fmt.Sprint("-", w.scene.Load()) }
	life := func() string { return fmt.Sprint("-", w.life.Load()) }
	own, voters := &names{}, &electorate{}
	for i := range clients {
		g := invite(w.tb, w.d, i)
		w.guests = append(w.guests, g)
		random := func(sort uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(i)<<8|sort)) }
		h := &Historian{Number: i, Client: g.c, Random: random(1), Record: w.log.Do, Wrong: w.log.Wrongf, Scene: scene, Pause: actorPause}
		tasks.Go(func() { h.Work(ctx) })
		a := &Actor{
			Number: i, Client: g.c, Conn: g.nc, Subjects: w.subjects, Random: random(2), Say: w.log.Note,
			TTL: mortalTTL, Began: w.log.Began, Scene: scene, Pause: actorPause,
		}
		tasks.Go(func() { a.Work(ctx) })
		writer := &ledger{guest: g, log: w.log, random: random(3), life: life, names: own}
		tasks.Go(func() { writer.write(ctx) })
		reader := &ledger{guest: g, log: w.log, random: random(4), life: life, names: own}
		tasks.Go(func() { reader.read(ctx) })
		alive := &person{guest: g, log: w.log, random: random(5)}
		tasks.Go(func() { alive.live(ctx) })
		if i%2 == 0 {
			mortal := &person{guest: g, log: w.log, random: random(6)}
			tasks.Go(func() { mortal.die(ctx) })
		}
		if i%3 == 0 {
			holder := &person{guest: g, log: w.log, random: random(7)}
			tasks.Go(func() { holder.tokens(ctx) })
		}
		p := w.troupe(g, random(8))
		switch i % 4 {
		case 0:
			tasks.Go(func() { p.stand(ctx) })
			tasks.Go(func() { p.wait(ctx) })
		case 1:
			tasks.Go(func() { p.vote(ctx, voters) })
			tasks.Go(func() { p.wait(ctx) })
		case 2:
			tasks.Go(func() { p.meet(ctx) })
			tasks.Go(func() { p.vote(ctx, voters) })
		case 3:
			tasks.Go(func() { p.meet(ctx) })
			tasks.Go(func() { p.propose(ctx, voters) })
		}
	}
}

// troupe is what a client needs to be at work on objects that many use together.
func (w *world) troupe(g *guest, random *rand.Rand) *troupe {
	var mu sync.Mutex
	return &troupe{
		guest: g, log: w.log, wire: wire{g.nc, w.subjects}, life: func() string { return fmt.Sprint("-", w.life.Load()) },
		random: func(n int64) int64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Int64N(n)
		},
	}
}

// watchers start two who watch, and two who have Replicas. All look at objects, too.
func (w *world) watchers(ctx context.Context, tasks *sync.WaitGroup, seed uint64) []*watcher {
	var all []*watcher
	for i := range 4 {
		g := invite(w.tb, w.d, clients+i)
		w.guests = append(w.guests, g)
		g.acked.Store(-1) // it does not write
		one := &watcher{guest: g, log: w.log}
		all = append(all, one)
		one.troupe = w.troupe(g, rand.New(rand.NewPCG(seed, uint64(clients+i))))
		tasks.Go(func() { one.troupe.observe(ctx) })
		tasks.Go(func() { one.troupe.survey(ctx) })
		tasks.Go(func() { one.troupe.audit(ctx) })
		if i%2 == 0 {
			tasks.Go(func() { one.watch(ctx, fmt.Sprint("watch ", i)) })
			continue
		}
		var err error
		if one.replica, err = client.NewReplica(g.c, everything()); err != nil {
			w.tb.Fatal(err)
		}
		tasks.Go(func() { one.follow(ctx, fmt.Sprint("replica ", i)) })
	}
	return all
}

// suffer has the faults of a step begin and end, and waits until all have recovered.
func (w *world) suffer(s Step) {
	classes := slices.Concat(All(), Moves())
	var ends []func()
	w.scene.Add(1)
	// Nodes first: who is the keeper cannot be asked where servers do not hear each other.
	for _, target := range []Target{OfNode, OfServer, OfClient, OfStore} {
		for i, name := range s.Faults {
			for _, c := range Named(classes, name) {
				if c.Target == target {
					ends = append(ends, c.begin(w, s.Picks[i]))
				}
			}
		}
	}
	<-time.After(s.Lasts)
	for _, end := range slices.Backward(ends) {
		end()
	}
	healed := time.Now()
	w.recovered()
	w.tb.Logf("  recovered after %v", time.Since(healed).Round(time.Millisecond))
	w.answered("after "+strings.Join(s.Faults, " and "), betweenFaults)
	<-time.After(s.Quiet)
	if s.Probes {
		w.probe(s.Picks[0], s.Picks[0]%2 == 0)
	}
}

// recovered waits until a write of every client is acknowledged.
func (w *world) recovered() {
	before := map[int]int64{}
	for i, g := range w.guests {
		before[i] = g.acked.Load()
	}
	w.poll("write of each client", func() bool {
		for i, g := range w.guests {
			if before[i] >= 0 && g.acked.Load() == before[i] {
				return false
			}
		}
		return true
	})
}

// answered waits until so many more requests have been answered.
func (w *world) answered(when string, more int) {
	from := w.log.Answered()
	w.poll(fmt.Sprintf("%d more answers %s", more, when), func() bool { return w.log.Answered() >= from+more })
}
