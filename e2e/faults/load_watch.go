package faults

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// everything is what watchers watch.
func everything() client.Query {
	return client.Query{Scope: client.Scope{Namespace: client.DefaultNamespace}}
}

// watcher follows what is registered.
type watcher struct {
	*guest
	log    *Log
	troupe *troupe

	replica *client.Replica // of one that has a Replica

	mu    sync.Mutex
	state map[string]Shown // what the newest list and what was told since lead to
}

// watch lists, and watches from there, and again where the store has begun a new epoch.
func (w *watcher) watch(ctx context.Context, name string) {
	for ctx.Err() == nil {
		page, stamp, err := w.c.List(ctx, everything())
		if err != nil || page.Next != "" {
			pause(ctx, 100*time.Millisecond)
			continue
		}
		w.mu.Lock()
		w.state = map[string]Shown{}
		for _, r := range page.Registrations {
			w.state[r.Service+"/"+r.Instance] = shownOf(r)
		}
		w.mu.Unlock()
		told := &Watched{Name: name, Epoch: stamp.Epoch, Since: stamp.Revision}
		add(w.log, &w.log.watched, told)
		q := everything()
		q.Epoch = stamp.Epoch
		for e, err := range w.c.Watch(ctx, q, stamp.Revision) {
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, client.ErrCompacted) && !errors.Is(err, client.ErrUnavailable) {
					w.log.Wrongf("watch: %v", err)
				}
				break
			}
			w.hear(told, e.Kind, e.Registration, e.Revision)
		}
	}
}

// hear notes an event.
func (w *watcher) hear(told *Watched, kind client.EventKind, r *client.Registration, revision client.Revision) {
	one := Told{At: w.log.now(), Kind: kind, Revision: revision}
	if r != nil {
		one.Key, one.Owner = r.Service+"/"+r.Instance, r.Owner
		w.mu.Lock()
		switch kind {
		case client.Registered, client.Updated:
			one.Text = textOf(r)
			w.state[one.Key] = shownOf(r)
		default:
			delete(w.state, one.Key)
		}
		w.mu.Unlock()
	}
	add(w.log, &told.Told, one)
}

// follow keeps a Replica, and notes its changes.
func (w *watcher) follow(ctx context.Context, name string) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() {
		for ctx.Err() == nil {
			if err := w.replica.Run(ctx); err != nil && !errors.Is(err, client.ErrClosed) {
				w.log.Wrongf("replica: %v", err)
			}
			pause(ctx, 100*time.Millisecond)
		}
	})
	var told *Watched
	w.mu.Lock()
	w.state = map[string]Shown{}
	w.mu.Unlock()
	for change, err := range w.replica.Changes(ctx) {
		if err != nil {
			return
		}
		if epoch := w.replica.State().Stamp.Epoch; told == nil || told.Epoch != epoch {
			told = &Watched{Name: name, Epoch: epoch}
			add(w.log, &w.log.watched, told)
		}
		r := change.Now
		if r == nil && change.Kind != client.Gap {
			r = change.Before
		}
		w.hear(told, change.Kind, r, change.Revision)
	}
}

// held is what the watcher's events lead to, and what its Replica holds, if it has one. What
// a Replica tells is no revision that an epoch alone has changed: 0 stands for any.
func (w *watcher) held() []map[string]Shown {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := maps.Clone(w.state)
	if w.replica == nil {
		return []map[string]Shown{state}
	}
	for key, shown := range state {
		shown.Revision = 0
		state[key] = shown
	}
	held := map[string]Shown{}
	for _, r := range w.replica.All() {
		held[r.Service+"/"+r.Instance] = shownOf(r)
	}
	return []map[string]Shown{state, held}
}
