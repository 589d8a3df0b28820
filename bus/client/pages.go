package client

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client/follow"
)

// askPage asks for one page of q, and page reads it.
func (c *Client) askPage(ctx context.Context, r *request, q Query) (*nats.Msg, Stamp, error) {
	return c.ask(ctx, r, q.Read, func(f bus.Freshness) any {
		return bus.ListRequest{Conditions: conditions(q), Paging: paging(q), Since: q.Since, WaitMs: r.waitMs, Freshness: f}
	})
}

func (c *Client) page(r *request, reply *nats.Msg) (*Page, error) {
	body, err := bus.ParseListReply(reply.Data)
	if err != nil {
		return nil, c.garbled(r, err)
	}
	return &Page{Registrations: body.Registrations, Removed: body.Removed, Next: body.Next}, nil
}

// fetched is a page that was not read yet.
type fetched struct {
	r     *request
	reply *nats.Msg
	stamp Stamp
	err   error
}

func (c *Client) fetch(ctx context.Context, q Query) fetched {
	f := fetched{r: &request{subject: c.subjects.OfScope(bus.VerbList, q.Scope), since: q.Since != nil}}
	f.reply, f.stamp, f.err = c.askPage(ctx, f.r, q)
	return f
}

// pages returns all that q selects, which does not wait; its stamp is that of the first
// page. The registry is asked for each page while the one before it is read, and never for
// two.
func (c *Client) pages(ctx context.Context, q Query) (follow.Answer, error) {
	if err := q.Validate(); err != nil {
		return follow.Answer{}, err
	}
	var fetching sync.WaitGroup
	defer fetching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	got := c.fetch(ctx, q)
	all := follow.Answer{Stamp: got.stamp}
	for {
		if got.err != nil {
			return all, got.err
		}
		var ahead fetched
		next := bus.NextOf(got.reply.Data)
		if next != "" {
			q.After = next
			fetching.Go(func() { ahead = c.fetch(ctx, q) })
		}
		page, err := c.page(got.r, got.reply)
		if err != nil {
			return all, err
		}
		all.Registrations = append(all.Registrations, page.Registrations...)
		all.Removed = append(all.Removed, page.Removed...)
		switch page.Next {
		case "":
			return all, nil
		case next:
			fetching.Wait()
			got = ahead
		default: // another server's way to write it
			q.After = page.Next
			got = c.fetch(ctx, q)
		}
	}
}
