package client

import (
	"context"
	"errors"
	"log/slog"

	"github.com/roostbus/roost/backend"
)

// relist compares what the watch knows with a new list, at least as new as revision
// least, and yields the difference. lossy says that changes are known to have been lost
// and may have come and gone: then the list must show all that was acknowledged.
func (w *watch) relist(ctx context.Context, least Revision, lossy bool) error {
	for {
		before := w.follower.complete
		read := Read{MinRevision: max(least, before), Epoch: w.follower.epoch}
		if lossy {
			read.Consistency = backend.Linearizable
		}
		list, stamp, err := w.list(ctx, read)
		if errors.Is(err, backend.ErrCompacted) { // revisions have begun anew
			list, stamp, err = w.list(ctx, Read{Consistency: backend.Linearizable})
		}
		if errors.Is(err, backend.ErrUnavailable) && ctx.Err() == nil && !w.c.isClosed() && !w.c.nc.IsClosed() {
			w.c.log.Warn("watch waits for the registry", slog.Any("err", err))
			if !sleep(ctx, jittered(lastPause)) {
				return context.Cause(ctx)
			}
			lossy = true
			continue
		}
		if err != nil {
			return err
		}
		changes := w.follower.merge(list, stamp)
		if len(changes) == 0 && (!lossy || stamp.Revision == before) {
			return nil
		}
		if !w.yield(Event{Kind: backend.Gap, Revision: before}) {
			return errStopped
		}
		for _, e := range changes {
			if !w.yield(e) {
				return errStopped
			}
		}
		return nil
	}
}

// list returns everything in scope. The revision of the stamp is that of the first page.
func (w *watch) list(ctx context.Context, read Read) ([]*Registration, Stamp, error) {
	q := Query{Scope: w.follower.query.Scope, Read: read}
	var all []*Registration
	var first Stamp
	for {
		page, stamp, err := w.c.list(ctx, q)
		if err != nil {
			return nil, Stamp{}, err
		}
		if q.After == "" {
			first = stamp
		}
		all = append(all, page.Registrations...)
		if page.Next == "" {
			return all, first, nil
		}
		q.After = page.Next
	}
}
