package backend

import (
	"cmp"
	"context"
	"fmt"
)

// ServiceInfo sums up the instances of one service.
type ServiceInfo struct {
	Namespace string   `json:"namespace"`
	Service   string   `json:"service"`
	Instances int      `json:"instances"`
	Up        int      `json:"up"`
	Revision  Revision `json:"revision"` // of the newest change among its instances
}

// ServicesPage is one page of services, in the order of their keys.
type ServicesPage struct {
	Services []ServiceInfo
	Next     string
}

// Cataloguer is the ability to sum up services without listing their instances.
type Cataloguer interface {
	// Services returns one page of the services in q.Scope, of those only that have an
	// instance. Of q, the scope, the limits, the cursor and Read are used.
	Services(ctx context.Context, q Query) (*ServicesPage, Stamp, error)
}

// Services sums up through b's [Cataloguer], or by listing everything.
func Services(ctx context.Context, b Backend, q Query) (*ServicesPage, Stamp, error) {
	if q.Service != "" || !q.Everything() {
		return nil, Stamp{}, Invalid("services", "are asked for by namespace only")
	}
	q.Since, q.Wait = nil, 0
	if err := q.Validate(); err != nil {
		return nil, Stamp{}, err
	}
	if c, ok := b.(Cataloguer); ok {
		return c.Services(ctx, q)
	}
	cursor, err := ParseCursor(q.After)
	if err != nil {
		return nil, Stamp{}, err
	}
	if cursor.Epoch != 0 && q.Epoch != 0 && cursor.Epoch != q.Epoch {
		return nil, Stamp{}, fmt.Errorf("page of epoch %d asked for in epoch %d: %w", cursor.Epoch, q.Epoch, ErrCompacted)
	}
	limit := cmp.Or(q.Limit, DefaultListLimit)
	q.Limit, q.MaxBytes, q.After = 0, 0, ""
	q.Epoch, q.MinRevision = max(q.Epoch, cursor.Epoch), max(q.MinRevision, cursor.Revision)

	sum := summary{limit: limit, after: cursor.Key}
	var stamp Stamp
	for {
		page, listed, err := b.List(ctx, q)
		if err != nil {
			return nil, Stamp{}, err
		}
		if q.After == "" {
			stamp = listed
			stamp.Revision = cmp.Or(cursor.Revision, stamp.Revision)
		}
		if full := sum.add(page.Registrations); full || page.Next == "" {
			break
		}
		q.After = page.Next
	}
	return sum.page(stamp), stamp, nil
}

// summary gathers one page of services from registrations in the order of their keys.
type summary struct {
	limit    int
	after    string // the token of the last service of the page before
	last     string // that of the last one gathered
	more     bool   // there is another behind it
	services []ServiceInfo
}

// add takes registrations and reports whether nothing more is wanted.
func (s *summary) add(registrations []*Registration) (full bool) {
	for _, r := range registrations {
		token := serviceToken(r.Namespace, r.Service)
		if token <= s.after {
			continue
		}
		if token != s.last {
			if len(s.services) == s.limit {
				s.more = true
				return true
			}
			s.services = append(s.services, ServiceInfo{Namespace: r.Namespace, Service: r.Service})
			s.last = token
		}
		s.services[len(s.services)-1].add(r)
	}
	return false
}

func (s *summary) page(stamp Stamp) *ServicesPage {
	p := &ServicesPage{Services: s.services}
	if s.more {
		p.Next = Cursor{Revision: stamp.Revision, Epoch: stamp.Epoch, Key: s.last}.String()
	}
	return p
}

func (s *ServiceInfo) add(r *Registration) {
	s.Instances++
	if r.Status <= Up {
		s.Up++
	}
	s.Revision = max(s.Revision, r.Revision)
}

// serviceToken is the prefix that the keys of a service have in common. Its closing dot
// makes services sort as their keys do.
func serviceToken(namespace, service string) string {
	return string(append(AppendToken(append(AppendToken(nil, namespace), '.'), service), '.'))
}
