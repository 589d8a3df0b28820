package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// watcher tells of changes. All of it happens in the goroutine of run.
type watcher struct {
	*client.Client

	query client.Query
	only  *client.Key // nil: of every instance
	since client.Revision
	lines eventLines
	said  io.Writer // where notices go; may be nil

	following bool      // the Watch of this turn has begun
	begun     bool      // a Watch has
	away      time.Time // since when the registry is; zero if it is not
	lost      bool      // the changes up to the next turn
	gap       *client.Event
	matching  matching
}

// pause is between attempts to begin again.
const pause = 500 * time.Millisecond

// run tells of changes until ctx is done or something does not pass by itself.
func (w *watcher) run(ctx context.Context) error {
	for {
		err := w.turn(ctx)
		switch {
		case ctx.Err() != nil, !w.begun, errors.Is(err, client.ErrClosed):
			return err
		case errors.Is(err, client.ErrCompacted):
			w.notice("watch: the registry has begun anew, or has forgotten what changed meanwhile; going on from now: list again what you keep")
			w.lost, w.since = true, 0
		case errors.Is(err, client.ErrUnavailable):
			w.fares(err)
		default:
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// turn is one Watch.
func (w *watcher) turn(ctx context.Context) error {
	q, since, err := w.start(ctx)
	if err != nil {
		return err
	}
	w.following = false
	changes := w.Watch(ctx, q, since)
	if w.following && w.lost {
		w.lost = false
		if err := w.lines.write(client.Event{Kind: client.Gap, Reason: reasonCompacted}); err != nil {
			return err
		}
	}
	for e, err := range changes {
		if err != nil {
			if !w.begun && errors.Is(err, client.ErrCompacted) {
				err = forgotten(since, "what changed since is not remembered any more")
			}
			return err
		}
		if err := w.tell(e); err != nil {
			return err
		}
	}
	return nil
}

// tell tells of e if it is wanted. A gap is told with the first event behind it, unless
// that is one with a past: then nothing that is wanted was merged.
func (w *watcher) tell(e client.Event) error {
	switch {
	case e.Kind == client.Gap:
		w.gap = &e
		return nil
	case !w.wants(e):
		return nil
	case w.gap != nil && e.Previous == 0:
		if err := w.lines.write(*w.gap); err != nil {
			return err
		}
	}
	w.gap = nil
	return w.lines.write(e)
}

// start finds where the Watch begins.
func (w *watcher) start(ctx context.Context) (q client.Query, since client.Revision, err error) {
	q, since = w.query, w.since
	if since > 0 {
		_, stamp, err := w.Count(ctx, client.Query{Scope: q.Scope, Read: q.Read})
		if err != nil {
			return q, 0, err
		}
		if since > stamp.Revision {
			return q, 0, forgotten(since, fmt.Sprintf("the registry is at revision %d only", stamp.Revision))
		}
		q.Epoch = stamp.Epoch
	}
	if q.Filter != "" || len(q.Where)+len(q.Status) > 0 {
		var stamp client.Stamp
		if w.matching, stamp, err = w.selected(ctx); err != nil {
			return q, 0, err
		}
		if since == 0 {
			since, q.Epoch = stamp.Revision, stamp.Epoch
		}
	}
	return q, since, nil
}

// fares hears from the client how the Watch fares.
func (w *watcher) fares(err error) {
	switch {
	case err != nil && w.away.IsZero():
		w.away = time.Now()
		w.notice("watch: the registry is away (%v); waiting for it", err)
	case err == nil && !w.away.IsZero():
		w.notice("watch: the registry is back after %v", time.Since(w.away).Round(100*time.Millisecond))
		w.away = time.Time{}
	case err == nil && !w.begun:
		w.notice("watching %s; Ctrl-C ends it", w.what())
		w.lines.begin()
	}
	if err == nil {
		w.following, w.begun = true, true
	}
}

func (w *watcher) notice(format string, args ...any) {
	if w.said != nil {
		fmt.Fprintf(w.said, "roost: "+format+"\n", args...) //nolint:errcheck // there is nowhere else to say it
	}
}

// what is being watched, for people.
func (w *watcher) what() string {
	switch {
	case w.only != nil:
		return shownKey(*w.only)
	case w.query.Service != "":
		return visible(w.query.Namespace + "/" + w.query.Service)
	case w.query.Namespace != "":
		return "namespace " + visible(w.query.Namespace)
	}
	return "all namespaces"
}

// wants reports whether e, which is no gap, is to be told.
func (w *watcher) wants(e client.Event) bool {
	return (w.only == nil || e.Registration.Key == *w.only) && w.matching.tells(e)
}

// matching are the keys of what has matched the conditions; nil: there are none. What
// never matched is not told of when it changes or goes.
type matching struct {
	keys map[client.Key]struct{}
	from client.Revision // the earlier past is not known
}

// selected lists what matches the conditions.
func (w *watcher) selected(ctx context.Context) (m matching, first client.Stamp, err error) {
	m.keys = make(map[client.Key]struct{})
	for q := w.query; ; {
		page, stamp, err := w.List(ctx, q)
		if err != nil {
			return m, first, err
		}
		if q.After == "" {
			first = stamp
		}
		for _, r := range page.Registrations {
			m.keys[r.Key] = struct{}{}
		}
		if q.After = page.Next; q.After == "" {
			m.from = first.Revision
			return m, first, nil
		}
	}
}

func (m matching) tells(e client.Event) bool {
	if m.keys == nil {
		return true
	}
	key := e.Registration.Key
	if !e.Kind.Removes() && e.Kind != client.Unmatched {
		m.keys[key] = struct{}{}
		return true
	}
	_, was := m.keys[key]
	delete(m.keys, key)
	return was || e.Revision <= m.from
}
