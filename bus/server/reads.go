package server

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

func (s *Server) lookup(ctx context.Context, r *request) (answer, error) {
	key, read, err := s.parseLookup(r)
	if err == nil {
		err = s.mayWait(r, read.Wait)
	}
	if err != nil {
		return answer{}, err
	}
	return r.found(s.b.Lookup(ctx, key, read))
}

// lookupPromptly is lookup where the Backend answers from memory.
func (s *Server) lookupPromptly(ctx context.Context, r *request) (answer, error) {
	if err := s.check(r); err != nil {
		return answer{}, err
	}
	key, read, err := s.parseLookup(r)
	if err != nil {
		return answer{}, err
	}
	if read.Wait > 0 || !backend.Prompt(s.b, read) {
		return answer{}, errMayWait
	}
	return r.found(s.b.Lookup(ctx, key, read))
}

func (s *Server) parseLookup(r *request) (backend.Key, backend.Read, error) {
	key, err := s.subjects.ParseKey(bus.VerbLookup, r.subject)
	if err != nil || len(r.data) == 0 {
		return key, backend.Read{Epoch: r.epoch}, err
	}
	var q bus.LookupRequest
	if err := decode(r.data, &q); err != nil {
		return key, backend.Read{}, err
	}
	if err := q.Agrees(key); err != nil {
		return key, backend.Read{}, err
	}
	read, err := r.read(q.Freshness, q.WaitMs)
	return key, read, err
}

// found is the answer to a look-up, a register or an update.
func (r *request) found(registration backend.Registration, stamp backend.Stamp, err error) (answer, error) {
	if err != nil {
		return answer{stamp: stamp}, err
	}
	r.buf = registration.AppendJSON(r.buf[:0])
	return answer{body: r.buf, stamp: stamp}, nil
}

// read returns the Read that r asks for. A nil waitMs does not wait.
func (r *request) read(f bus.Freshness, waitMs *int64) (backend.Read, error) {
	read := backend.Read{MinRevision: f.MinRevision, Epoch: r.epoch}
	if waitMs != nil {
		if *waitMs < 0 || *waitMs > backend.MaxWait.Milliseconds() {
			return read, backend.Invalid("wait_ms", "is %d, must be 0 to %d", *waitMs, backend.MaxWait.Milliseconds())
		}
		read.Wait = time.Duration(*waitMs) * time.Millisecond
	}
	if f.Consistency != "" {
		c, err := backend.ParseConsistency(f.Consistency)
		if err != nil {
			return read, err
		}
		read.Consistency = c
	}
	if f.MaxAgeMs != nil {
		ms := *f.MaxAgeMs
		if ms < 0 {
			return read, backend.Invalid("max_age_ms", "must not be negative")
		}
		// A MaxAge of 0 would mean any; the shortest one is as good as none.
		read.MaxAge = max(time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond)))*time.Millisecond, 1)
	}
	return read, nil
}

func (s *Server) list(ctx context.Context, r *request) (answer, error) {
	scope, err := s.subjects.ParseScope(bus.VerbList, r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.ListRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := agrees(scope, q.Namespace, q.Service); err != nil {
		return answer{}, err
	}
	query, err := r.query(scope, q.Conditions, q.Paging, q.Freshness, q.WaitMs)
	if err != nil {
		return answer{}, err
	}
	query.Since, query.MaxBytes = q.Since, s.pageBudget()
	if query.Since != nil && query.After == "" {
		if err := s.mayWait(r, query.Wait); err != nil {
			return answer{}, err
		}
	}
	page, stamp, err := s.b.List(ctx, query)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	if query.Since != nil {
		r.buf = appendPage(r.buf[:0], page, true)
		return answer{body: r.buf, stamp: stamp}, nil
	}
	return answer{body: page.Rendering(renderPage), stamp: stamp}, nil
}

// mayWait counts r among the requests that wait, if it asks for that, and gives it the
// time to.
func (s *Server) mayWait(r *request, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	if r.waited = s.hands.Load().wait(); !r.waited {
		r.to.stats.refused.Add(1)
		s.obs.refused(r.to.name)
		return &backend.LimitError{Quota: "waiting requests", Limit: int64(s.cfg.MaxWaiting)}
	}
	s.admission.leave(r.asker)
	r.deadline.extend(r.received.Add(max(r.timeout, wait+waitMargin)))
	return nil
}

// renderPage is the body of the reply to a list.
func renderPage(p *backend.Page) []byte {
	return appendPage(make([]byte, 0, 64+400*len(p.Registrations)), p, false)
}

// appendPage appends the body of a reply to a list, with what was removed if since.
func appendPage(b []byte, p *backend.Page, since bool) []byte {
	b = append(b, `{"registrations":[`...)
	for i, r := range p.Registrations {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.AppendJSON(b)
	}
	b = append(b, ']')
	if since {
		b = append(b, `,"removed":[`...)
		for i := range p.Removed {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.Removed[i].AppendJSON(b)
		}
		b = append(b, ']')
	}
	if p.Next != "" {
		b = append(append(append(b, `,"next":"`...), p.Next...), '"') // base64: nothing to escape
	}
	return append(b, '}')
}

// query returns the Query that r asks for.
func (r *request) query(scope backend.Scope, c bus.Conditions, p bus.Paging, f bus.Freshness, waitMs *int64) (backend.Query, error) {
	q := backend.Query{Scope: scope, Where: c.Where, Filter: c.Filter, Status: c.Status, After: p.After}
	if p.Limit != nil {
		if *p.Limit < 1 || *p.Limit > backend.DefaultListLimit {
			return q, backend.Invalid("limit", "is %d, must be 1 to %d", *p.Limit, backend.DefaultListLimit)
		}
		q.Limit = *p.Limit
	}
	var err error
	q.Read, err = r.read(f, waitMs)
	return q, err
}

// agrees reports a name in the body that is not the one in the subject.
func agrees(scope backend.Scope, namespace, service *string) error {
	return bus.Identity{Namespace: namespace, Service: service}.
		Agrees(backend.Key{Namespace: scope.Namespace, Service: scope.Service})
}

func (s *Server) count(ctx context.Context, r *request) (answer, error) {
	scope, err := s.subjects.ParseScope(bus.VerbCount, r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.CountRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := agrees(scope, q.Namespace, q.Service); err != nil {
		return answer{}, err
	}
	query, err := r.query(scope, q.Conditions, bus.Paging{}, q.Freshness, nil)
	if err != nil {
		return answer{}, err
	}
	n, stamp, err := backend.Count(ctx, s.b, query)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	r.buf = append(strconv.AppendInt(append(r.buf[:0], `{"count":`...), int64(n), 10), '}')
	return answer{body: r.buf, stamp: stamp}, nil
}

// maxServiceEntry is the greatest size of one entry of a services reply: two names, each
// byte of which may be escaped by another, and three numbers.
const maxServiceEntry = 4*backend.MaxName + 160

func (s *Server) services(ctx context.Context, r *request) (answer, error) {
	scope, err := s.subjects.ParseScope(bus.VerbServices, r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.ServicesRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := agrees(scope, q.Namespace, nil); err != nil {
		return answer{}, err
	}
	query, err := r.query(scope, bus.Conditions{}, q.Paging, q.Freshness, nil)
	if err != nil {
		return answer{}, err
	}
	fits := max(s.budget()/maxServiceEntry, 1)
	if query.Limit == 0 || query.Limit > fits {
		query.Limit = min(fits, backend.DefaultListLimit)
	}
	page, stamp, err := backend.Services(ctx, s.b, query)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	reply := bus.ServicesReply{Services: page.Services, Next: page.Next}
	if reply.Services == nil {
		reply.Services = []backend.ServiceInfo{}
	}
	body, err := encode(reply)
	return answer{body: body, stamp: stamp}, err
}

// encode is json.Marshal without the escapes that only HTML wants.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
