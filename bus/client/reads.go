package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Lookup implements backend.Backend. A look-up that waits sends what is left of its wait
// in parts, and takes up to [WithReadTimeout] longer where the registry does not answer.
func (c *Client) Lookup(ctx context.Context, key Key, read Read) (Registration, Stamp, error) {
	if err := cmp.Or(key.Validate(), read.Validate()); err != nil {
		return Registration{}, Stamp{}, err
	}
	r := &request{subject: c.subjects.OfKey(bus.VerbLookup, key), key: key}
	r.waitUntil(read.Wait)
	reply, stamp, err := c.ask(ctx, r, read, func(f bus.Freshness) any {
		return bus.LookupRequest{Freshness: f, WaitMs: r.waitMs}
	})
	if err != nil {
		return Registration{}, stamp, err
	}
	found, err := backend.ParseRegistration(reply.Data)
	if err != nil {
		return Registration{}, Stamp{}, c.garbled(r, err)
	}
	return found, stamp, nil
}

// List implements backend.Backend. A page holds no more than fits the server's greatest
// message. The registry does not know MaxBytes: a page that turns out too large is asked
// for again with fewer entries. A list that waits does so as [Client.Lookup] does. A Since
// without Epoch is taken to be of the newest epoch that this client has heard of.
func (c *Client) List(ctx context.Context, q Query) (*Page, Stamp, error) {
	for {
		page, stamp, err := c.list(ctx, q)
		if err != nil || q.MaxBytes <= 0 {
			return page, stamp, err
		}
		n := fitting(page, q.MaxBytes)
		if n == len(page.Registrations)+len(page.Removed) {
			return page, stamp, nil
		}
		q.Limit, q.Wait = n, 0
	}
}

// fitting counts the leading entries, at least one, that take no more than size bytes.
func fitting(page *Page, size int) int {
	there, gone := page.Registrations, page.Removed
	var line []byte
	n := 0
	for len(there)+len(gone) > 0 {
		if len(gone) == 0 || len(there) > 0 && there[0].Key.String() < gone[0].Key.String() {
			line, there = there[0].AppendJSON(line[:0]), there[1:]
		} else {
			line, gone = gone[0].AppendJSON(line[:0]), gone[1:]
		}
		if size -= len(line); size < 0 {
			return max(n, 1)
		}
		n++
	}
	return n
}

func (c *Client) list(ctx context.Context, q Query) (*Page, Stamp, error) {
	if err := q.Validate(); err != nil {
		return nil, Stamp{}, err
	}
	r := &request{subject: c.subjects.OfScope(bus.VerbList, q.Scope), since: q.Since != nil}
	if q.After == "" {
		r.waitUntil(q.Wait)
	}
	for {
		asked := time.Now()
		reply, stamp, err := c.askPage(ctx, r, q)
		if err != nil {
			return nil, stamp, err
		}
		page, err := c.page(r, reply)
		if err != nil {
			return nil, Stamp{}, err
		}
		if len(page.Registrations)+len(page.Removed) > 0 || !r.waits() || !r.goesOn(ctx, asked) {
			return page, stamp, nil
		}
		// Nothing has changed up to here, which is remembered longer.
		since := max(*q.Since, stamp.Revision)
		q.Since, q.Epoch = &since, cmp.Or(q.Epoch, stamp.Epoch)
	}
}

// All yields everything that q selects, page by page. The last pair carries the error,
// if any: what came before it is then not the whole.
func (c *Client) All(ctx context.Context, q Query) iter.Seq2[*Registration, error] {
	return backend.All(ctx, c, q)
}

// Count implements backend.Counter.
func (c *Client) Count(ctx context.Context, q Query) (int, Stamp, error) {
	q.Limit, q.MaxBytes, q.After, q.Since, q.Wait = 0, 0, "", nil, 0
	if err := q.Validate(); err != nil {
		return 0, Stamp{}, err
	}
	r := &request{subject: c.subjects.OfScope(bus.VerbCount, q.Scope)}
	reply, stamp, err := c.ask(ctx, r, q.Read, func(f bus.Freshness) any {
		return bus.CountRequest{Conditions: conditions(q), Freshness: f}
	})
	if err != nil {
		return 0, stamp, err
	}
	var body bus.CountReply
	if err := decode(reply, &body); err != nil {
		return 0, Stamp{}, c.garbled(r, err)
	}
	return body.Count, stamp, nil
}

// Services implements backend.Cataloguer.
func (c *Client) Services(ctx context.Context, q Query) (*ServicesPage, Stamp, error) {
	if q.Service != "" || !q.Everything() {
		return nil, Stamp{}, backend.Invalid("services", "are asked for by namespace only")
	}
	q.Since, q.Wait = nil, 0
	if err := q.Validate(); err != nil {
		return nil, Stamp{}, err
	}
	r := &request{subject: c.subjects.OfScope(bus.VerbServices, q.Scope)}
	reply, stamp, err := c.ask(ctx, r, q.Read, func(f bus.Freshness) any {
		return bus.ServicesRequest{Paging: paging(q), Freshness: f}
	})
	if err != nil {
		return nil, stamp, err
	}
	var body bus.ServicesReply
	if err := decode(reply, &body); err != nil {
		return nil, Stamp{}, c.garbled(r, err)
	}
	return &ServicesPage{Services: body.Services, Next: body.Next}, stamp, nil
}

// Health implements backend.Backend. It tells of the node that answers.
func (c *Client) Health(ctx context.Context) (Health, error) {
	report, err := c.Report(ctx)
	if err != nil {
		return Health{}, err
	}
	return Health{
		Status:        report.Status,
		Backend:       report.Backend,
		State:         report.State,
		Registrations: report.Registrations,
		Services:      report.Services,
		Stamp: Stamp{
			Revision: report.Revision,
			Epoch:    report.Epoch,
			Age:      time.Duration(report.AgeMs) * time.Millisecond,
		},
		Problems: report.Problems,
	}, nil
}

// Report is Health with everything that the answering node says about itself.
func (c *Client) Report(ctx context.Context) (*bus.HealthReply, error) {
	ctx, end, err := c.begin(ctx, c.readTimeout)
	if err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	defer end()
	r := &request{subject: c.subjects.Health()}
	a := c.read(ctx, r)
	if a.err != nil {
		return nil, a.err
	}
	var body bus.HealthReply
	if err := decode(a.reply, &body); err != nil {
		return nil, c.garbled(r, err)
	}
	return &body, nil
}

// ask makes a read that is as new as read says and, unless it was told not to, as this
// client's own writes.
//
// What this client adds to a request must not fail it: if the registry says that
// revisions have begun anew and the caller did not name an epoch, the read is repeated
// with what the caller asked for alone. A list since a revision is not: its revision
// means nothing in another epoch.
func (c *Client) ask(ctx context.Context, r *request, read Read, body func(bus.Freshness) any) (*nats.Msg, Stamp, error) {
	ctx, end, err := c.begin(ctx, c.readTimeout+r.left())
	if err != nil {
		return nil, Stamp{}, fmt.Errorf("%s: %w", c.what(r), err)
	}
	defer end()
	now := c.seen.now()
	r.epoch = read.Epoch
	if r.epoch == 0 {
		r.epoch = now.epoch
	}
	wanted := read
	if c.ownReads && r.epoch == now.epoch {
		wanted.MinRevision = max(read.MinRevision, now.own)
	}
	r.encode = func() ([]byte, error) { return encode(body(freshness(wanted))) }
	a := c.read(ctx, r)
	if errors.Is(a.err, backend.ErrCompacted) && (wanted != read || read.Epoch == 0) && !r.since {
		c.seen.forget(now)
		r.epoch, wanted = read.Epoch, read
		a = c.read(ctx, r)
	}
	return a.reply, a.stamp, a.err
}

func freshness(read Read) bus.Freshness {
	f := bus.Freshness{MinRevision: read.MinRevision}
	if read.Consistency != backend.Local {
		f.Consistency = read.Consistency.String()
	}
	if read.MaxAge != 0 {
		ms := read.MaxAge.Milliseconds() // 0 is the shortest
		f.MaxAgeMs = &ms
	}
	return f
}

func conditions(q Query) bus.Conditions {
	return bus.Conditions{Where: q.Where, Filter: q.Filter, Status: q.Status}
}

func paging(q Query) bus.Paging {
	p := bus.Paging{After: q.After}
	if q.Limit > 0 {
		p.Limit = &q.Limit
	}
	return p
}

// garbled is the error of a reply to a read that cannot be read.
func (c *Client) garbled(r *request, err error) error {
	return hide(c.what(r)+": the reply cannot be read", bus.ErrInternal, err)
}
