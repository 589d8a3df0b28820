package faults

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/roostbus/roost/e2e/natstest"
)

func ofServers() []Class {
	full := func(choose func(*world, uint64) Member) func(*world, uint64) func() {
		return func(w *world, pick uint64) func() {
			s := choose(w, pick).(Server)
			w.tb.Logf("  it meets %s", s.Name())
			s.FillDisk(w.tb)
			return func() { // and whoever made room starts it again
				s.FreeDisk(w.tb)
				s.Kill(w.tb)
				s.Start(w.tb)
			}
		}
	}
	return []Class{
		{"full-leader", OfServer, time.Second, 6 * time.Second, full((*world).leader)},
		{"full-server", OfServer, time.Second, 6 * time.Second, full((*world).replica)},
		{"step-down", OfServer, 100 * time.Millisecond, 2 * time.Second, func(w *world, _ uint64) func() {
			w.stepDown(w.stream())
			return func() { w.stepDown(w.stream()) }
		}},
		{"step-down-counters", OfServer, 100 * time.Millisecond, 2 * time.Second, func(w *world, _ uint64) func() {
			w.stepDown(w.home.Bucket + "_counters")
			return func() {}
		}},
	}
}

func ofClients() []Class {
	some := func(do, undo func(w *world, l *natstest.Proxy)) func(*world, uint64) func() {
		return func(w *world, pick uint64) func() {
			var hit []*natstest.Proxy
			for i, g := range w.guests {
				if pick>>i&1 == 1 {
					hit = append(hit, g.links...)
				}
			}
			for _, l := range hit {
				do(w, l)
			}
			return func() {
				for _, l := range hit {
					undo(w, l)
				}
			}
		}
	}
	heal := func(w *world, l *natstest.Proxy) { l.Heal(w.tb) }
	return []Class{
		{"cut-clients", OfClient, 500 * time.Millisecond, 6 * time.Second, some(func(w *world, l *natstest.Proxy) { l.Cut(w.tb) }, heal)},
		{"lose-replies", OfClient, 200 * time.Millisecond, 3 * time.Second, some(func(w *world, l *natstest.Proxy) { l.Deafen(w.tb) }, heal)},
		{"slow-links", OfClient, time.Second, 6 * time.Second, some(func(w *world, l *natstest.Proxy) { l.Delay(w.tb, 300*time.Millisecond) }, heal)},
		{"storm", OfClient, 500 * time.Millisecond, 3 * time.Second, func(w *world, _ uint64) func() { return w.storm() }},
	}
}

// stormEvery is how often all connections break in a storm.
const stormEvery = 250 * time.Millisecond

// storm breaks the connections of all clients at once, again and again.
func (w *world) storm() (end func()) {
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			for _, g := range w.guests {
				for _, l := range g.links {
					l.Break()
				}
			}
			for _, g := range w.guests {
				for _, l := range g.links {
					l.Mend(w.tb)
				}
			}
			select {
			case <-over:
				return
			case <-time.After(stormEvery):
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

func ofStores() []Class {
	return []Class{
		{"kill-servers", OfStore, 100 * time.Millisecond, 4 * time.Second, func(w *world, _ uint64) func() {
			for _, s := range w.d.Servers() {
				s.Kill(w.tb)
			}
			return func() {
				for _, s := range w.d.Servers() {
					s.Start(w.tb)
				}
			}
		}},
		{"kill-nodes", OfStore, 100 * time.Millisecond, 4 * time.Second, func(w *world, _ uint64) func() {
			for _, n := range w.d.Nodes() {
				n.Kill(w.tb)
			}
			return func() {
				for _, n := range w.d.Nodes() {
					n.Start(w.tb)
				}
			}
		}},
		{"delete-bucket", OfStore, time.Millisecond, time.Second, func(w *world, _ uint64) func() {
			return w.losing(w.deleteBucket)
		}},
		{"restore-store", OfStore, restoresAfter, restoresAfter + 2*time.Second, (*world).restoreStore},
	}
}

// losing has do lose what is stored. What ends it waits for the epoch after that.
func (w *world) losing(do func()) (end func()) {
	before, from := w.epoch(), w.log.now()
	do()
	return func() {
		w.awaitEpochAfter(before)
		w.log.Loses(from)
		w.life.Add(1)
		w.scene.Add(1)
	}
}

// restoresAfter is how old the copy is at least: nodes remember once a second how far they
// have seen the store come, and must have seen more than the copy has, where they are killed
// together with it.
const restoresAfter = 2500 * time.Millisecond

// restoreStore copies the store as it is at one moment, and puts it back some time later.
func (w *world) restoreStore(uint64) (end func()) {
	signal := func(s os.Signal) {
		for _, one := range w.d.Servers() {
			one.Signal(w.tb, s)
		}
	}
	copies := w.tb.TempDir()
	signal(syscall.SIGSTOP)
	for _, s := range w.d.Servers() {
		if err := os.CopyFS(filepath.Join(copies, s.Name()), os.DirFS(s.StoreDir())); err != nil {
			w.tb.Errorf("copy the store: %v", err)
		}
	}
	signal(syscall.SIGCONT)
	return func() {
		w.losing(func() {
			for _, s := range w.d.Servers() {
				s.Kill(w.tb)
			}
			for _, s := range w.d.Servers() {
				if err := errors.Join(os.RemoveAll(s.StoreDir()), os.CopyFS(s.StoreDir(), os.DirFS(filepath.Join(copies, s.Name())))); err != nil {
					w.tb.Errorf("restore the store: %v", err)
				}
				s.Start(w.tb)
			}
		})()
	}
}
