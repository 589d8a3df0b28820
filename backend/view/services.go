package view

import (
	"context"

	"github.com/roostbus/roost/backend"
)

// Services returns one page of the services in q.Scope that have an instance, after
// waiting for what q.Read asks.
func (v *View) Services(ctx context.Context, q backend.Query) (*backend.ServicesPage, backend.Stamp, error) {
	cursor, err := backend.ParseCursor(q.After)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	if err := v.await(ctx, &q.Read, cursor.Revision, cursor.Epoch); err != nil {
		return nil, backend.Stamp{}, err
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	c := v.core.Load()
	stamp := c.stamp()
	if cursor.Epoch != 0 && cursor.Epoch != stamp.Epoch {
		return nil, backend.Stamp{}, elsewhere(cursor.Epoch, stamp.Epoch)
	}
	if cursor.Revision != 0 {
		stamp.Revision = cursor.Revision
	}
	page := &backend.ServicesPage{}
	left := newAllowance(&q)
	from := prefixOf(q.Scope)
	last := ""
	p := c.order.seek(func(s *service) bool { return s.prefix < from || s.prefix <= cursor.Key })
	for s, ok := c.order.at(p); ok && within(q.Scope, s.Scope); s, ok = c.order.at(p) {
		p = c.order.next(p)
		if s.live.len() == 0 {
			continue
		}
		if !left.take(120 + 2*(len(s.Namespace)+len(s.Service))) {
			page.Next = backend.Cursor{Revision: stamp.Revision, Epoch: stamp.Epoch, Key: last}.String()
			break
		}
		last = s.prefix
		page.Services = append(page.Services, backend.ServiceInfo{
			Namespace: s.Namespace, Service: s.Service,
			Instances: s.live.len(), Up: s.up, Revision: s.changes.newest.version.Load().Revision,
		})
	}
	return page, stamp, nil
}
