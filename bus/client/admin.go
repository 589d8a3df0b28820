package client

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Mark is what is kept of an object beyond the lives of those who use it.
type Mark = bus.Mark

// Marks returns a page of the marks of all objects of a kind, those behind after, the Next of
// the page before. It is the operator's.
func (c *Client) Marks(ctx context.Context, kind Kind, after string, read Read) (*bus.MarksReply, Stamp, error) {
	if err := read.Validate(); err != nil {
		return nil, Stamp{}, err
	}
	r := &request{subject: c.subjects.AdminMarks()}
	reply, stamp, err := c.ask(ctx, r, read, func(f bus.Freshness) any {
		return bus.MarksRequest{Kind: kind, Paging: paging(Query{After: after}), Freshness: f}
	})
	if err != nil {
		return nil, stamp, err
	}
	var body bus.MarksReply
	if err := decode(reply, &body); err != nil {
		return nil, Stamp{}, c.garbled(r, err)
	}
	return &body, stamp, nil
}

// RestoreMarks raises the marks of objects of a kind to those given, at most [bus.MaxMarks]
// and no more than fit a message, and says what became of each; with dry, what would. It is
// the operator's, and may be called any number of times.
func (c *Client) RestoreMarks(ctx context.Context, kind Kind, marks []Mark, dry bool) ([]bus.RestoreResult, error) {
	q := bus.RestoreRequest{Kind: kind, Marks: marks, DryRun: dry}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	r := &request{subject: c.subjects.AdminRestore(), idempotent: true}
	a := c.send(ctx, r, Write{}, q)
	if a.err != nil {
		return nil, a.err
	}
	var body bus.RestoreReply
	if err := decode(a.reply, &body); err != nil {
		return nil, c.unread(r, err)
	}
	if len(body.Results) != len(marks) {
		return nil, c.unread(r, backend.Invalid("results", "are %d, not %d", len(body.Results), len(marks)))
	}
	return body.Results, nil
}

// RaiseEpoch begins an epoch above another unless one has begun, and returns the present
// one. Every follower lists afresh then, and no token of before is as high as one given
// afterwards. It is the operator's, and may be called any number of times.
func (c *Client) RaiseEpoch(ctx context.Context, above Epoch) (Epoch, error) {
	r := &request{subject: c.subjects.AdminEpoch(), idempotent: true}
	a := c.send(ctx, r, Write{}, bus.EpochRequest{Above: above})
	if a.err != nil {
		return 0, a.err
	}
	var body bus.EpochReply
	if err := decode(a.reply, &body); err != nil {
		return 0, c.unread(r, err)
	}
	return body.Epoch, nil
}

// MaxMessage returns the greatest size of a message that NATS takes, in bytes.
func (c *Client) MaxMessage() int { return int(c.link.MaxPayload()) }
