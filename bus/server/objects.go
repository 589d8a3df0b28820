package server

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
)

// validated is a request that says itself what is wrong with it.
type validated interface{ Validate() error }

// about decodes a request v about one object into q, and returns which object that is.
func (s *Server) about(r *request, kind bus.Kind, v bus.Verb, q any) (engine.Name, error) {
	o, err := s.subjects.ParseObject(kind, v, r.subject)
	if err != nil {
		return engine.Name{}, err
	}
	if err := decode(r.data, q); err != nil {
		return engine.Name{}, err
	}
	if q, ok := q.(validated); ok {
		err = q.Validate()
	}
	return engine.Name(o), err
}

// leased is a request that is made with a lease.
type leased interface {
	validated
	Secret() string
}

// asked is a request about an object that somebody makes with a lease.
type asked struct {
	*request
	name engine.Name
	by   backend.Write // as whom it is made
}

// party returns who makes it.
func (a *asked) party(u *bus.User) coordination.Party {
	return coordination.Party{Owner: a.by.Owner, Holder: u.Holder}
}

// made answers requests that are made with a lease.
func made[Q any, P interface {
	*Q
	leased
}](s *Server, kind bus.Kind, v bus.Verb, do func(context.Context, *asked, *Q) (answer, error),
) handler {
	return func(ctx context.Context, r *request) (answer, error) {
		var q Q
		n, err := s.about(r, kind, v, P(&q))
		if err != nil {
			return answer{}, err
		}
		by, err := r.identified(bus.Guard{Lease: P(&q).Secret()}, "")
		if err != nil {
			return answer{}, err
		}
		return do(ctx, &asked{r, n, by}, &q)
	}
}

// waits returns for how long yet r may wait, and counts it among those that do. It is the
// last thing before r is carried out.
func (s *Server) waits(r *request, w bus.Waiting) (time.Duration, error) {
	read, err := r.read(bus.Freshness{}, w.WaitMs)
	if err != nil || read.Wait == 0 {
		return 0, err
	}
	if err := s.mayWait(r, read.Wait); err != nil {
		return 0, err
	}
	// One that has been used up is still one: it queues.
	return max(read.Wait-time.Since(r.received), 1), nil
}

// value returns a candidate's or a proposal's value without spaces that say nothing.
func value(raw json.RawMessage) (json.RawMessage, error) {
	if raw == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, backend.Invalid("value", "is not JSON: %v", err)
	}
	if b.Len() > bus.MaxObjectValue {
		return nil, &backend.TooLargeError{Field: "value", Size: int64(b.Len()), Limit: bus.MaxObjectValue}
	}
	return b.Bytes(), nil
}

// said is the answer v, or err.
func said(v any, stamp backend.Stamp, err error) (answer, error) {
	if err != nil {
		return answer{stamp: stamp}, err
	}
	body, err := encode(v)
	return answer{body: body, stamp: stamp}, err
}

// freshRead returns the Read of what is about objects, which is linearizable unless it says
// otherwise.
func (r *request) freshRead(f bus.Freshness) (backend.Read, error) {
	read, err := r.read(f, nil)
	if f.Consistency == "" {
		read.Consistency = backend.Linearizable
	}
	return read, err
}

// handler answers requests to an endpoint.
type handler = func(context.Context, *request) (answer, error)

// record answers requests for one object of a kind.
func record[T any](s *Server, kind bus.Kind, objects Objects[T]) handler {
	return func(ctx context.Context, r *request) (answer, error) {
		var q bus.ObjectRequest
		n, err := s.about(r, kind, bus.VerbGet, &q)
		if err != nil {
			return answer{}, err
		}
		read, err := r.freshRead(q.Freshness)
		if err != nil {
			return answer{}, err
		}
		object, stamp, err := objects.Get(ctx, n, read)
		return said(&object.Record, stamp, err)
	}
}

// cleared answers an operator's requests to empty an object of a kind. Who may make them is
// the business of NATS permissions. show returns what is said of it then.
func cleared[T any](s *Server, kind bus.Kind, objects Objects[T], show func(*T) (any, error)) handler {
	return func(ctx context.Context, r *request) (answer, error) {
		o, err := s.subjects.ParseAdminRelease(kind, r.subject)
		if err != nil {
			return answer{}, err
		}
		var q bus.AdminReleaseRequest
		if err := decode(r.data, &q); err != nil {
			return answer{}, err
		}
		if q.Reason == "" {
			q.Reason = backend.ReasonAdmin
		}
		by, err := r.identified(bus.Guard{}, q.Reason)
		if err != nil {
			return answer{}, err
		}
		object, stamp, err := objects.Clear(ctx, engine.Name(o), by)
		if err != nil {
			return answer{stamp: stamp}, err
		}
		shown, err := show(&object.Record)
		return said(shown, stamp, err)
	}
}

// whole shows a record as it is.
func whole[T any](record *T) (any, error) { return record, nil }

// maxNameEntry is the greatest size of one entry of a list of names: two names, each byte of
// which may be escaped by five more.
const maxNameEntry = 2*6*backend.MaxName + 40

// namesLimit returns how many names a page has that asks for that many.
func (s *Server) namesLimit(asked *int) (int, error) {
	fits := min(max(s.pageBudget()/maxNameEntry, 1), backend.DefaultListLimit)
	if asked == nil {
		return fits, nil
	}
	if *asked < 1 || *asked > backend.DefaultListLimit {
		return 0, backend.Invalid("limit", "is %d, must be 1 to %d", *asked, backend.DefaultListLimit)
	}
	return min(*asked, fits), nil
}

// names answers requests for the names of the objects of a kind, which page returns.
func (s *Server) names(kind bus.Kind, page func(ctx context.Context, namespace, after string, limit int, read backend.Read) (engine.Page, backend.Stamp, error)) handler {
	return func(ctx context.Context, r *request) (answer, error) {
		namespace, err := s.subjects.ParseObjects(kind, r.subject)
		if err != nil {
			return answer{}, err
		}
		var q bus.ObjectsRequest
		if err := decode(r.data, &q); err != nil {
			return answer{}, err
		}
		limit, err := s.namesLimit(q.Limit)
		if err != nil {
			return answer{}, err
		}
		read, err := r.freshRead(q.Freshness)
		if err != nil {
			return answer{}, err
		}
		p, stamp, err := page(ctx, namespace, q.After, limit, read)
		reply := bus.ObjectsReply{Names: make([]bus.ObjectName, len(p.Names)), Next: p.Next}
		for i, n := range p.Names {
			reply.Names[i] = bus.ObjectName(n)
		}
		return said(&reply, stamp, err)
	}
}
