package client

import (
	"cmp"
	"context"
	"iter"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Kind is a kind of object that programs coordinate through.
type Kind = bus.Kind

// The kinds.
const (
	KindElection  = bus.KindElection
	KindLock      = bus.KindLock
	KindSemaphore = bus.KindSemaphore
	KindBarrier   = bus.KindBarrier
	KindCounter   = bus.KindCounter
	KindProposal  = bus.KindProposal
)

// Object names an object of some kind.
type Object = bus.Object

// ObjectsQuery selects objects of a kind. The zero value is all, as many as fit.
type ObjectsQuery struct {
	Namespace string // "": all
	Limit     int    // 0: as many as fit
	After     string // the Next of the page before
	Read      Read
}

// ObjectsPage is one page of a list of objects.
type ObjectsPage struct {
	Objects []Object
	Next    string // "" at the end
}

// ObjectList returns a page of the names of objects of a kind that are not idle.
func (c *Client) ObjectList(ctx context.Context, kind Kind, q ObjectsQuery) (*ObjectsPage, Stamp, error) {
	err := q.Read.Validate()
	if q.Namespace != "" {
		err = cmp.Or(backend.ValidateName("namespace", q.Namespace), err)
	}
	if err != nil {
		return nil, Stamp{}, err
	}
	r := &request{subject: c.subjects.OfObjects(kind, q.Namespace)}
	reply, stamp, err := c.ask(ctx, r, q.Read, func(f bus.Freshness) any {
		return bus.ObjectsRequest{Paging: paging(Query{Limit: q.Limit, After: q.After}), Freshness: f}
	})
	if err != nil {
		return nil, stamp, err
	}
	var body bus.ObjectsReply
	if err := decode(reply, &body); err != nil {
		return nil, Stamp{}, c.garbled(r, err)
	}
	page := &ObjectsPage{Objects: make([]Object, len(body.Names)), Next: body.Next}
	for i, one := range body.Names {
		page.Objects[i] = Object(one)
	}
	return page, stamp, nil
}

// Objects yields the names of all objects of a kind that are not idle, in a namespace or
// with "" in all, page by page. The last pair carries the error, if any: what came before it
// is then not the whole.
func (c *Client) Objects(ctx context.Context, kind Kind, namespace string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		q := ObjectsQuery{Namespace: namespace}
		for {
			page, _, err := c.ObjectList(ctx, kind, q)
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, one := range page.Objects {
				if !yield(one, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	}
}

// AdminRelease takes everybody out of a lock, a semaphore or a barrier, has the leader of an
// election resign, or aborts what is voted on. It is the operator's. Whoever held something
// is not told: it goes on until its token is refused.
func (c *Client) AdminRelease(ctx context.Context, kind Kind, o Object, reason string) error {
	if err := cmp.Or(o.Validate(), (Write{Reason: reason}).Validate()); err != nil {
		return err
	}
	r := &request{subject: c.subjects.AdminRelease(kind, o), idempotent: true}
	return c.send(ctx, r, Write{}, bus.AdminReleaseRequest{Reason: reason}).err
}
