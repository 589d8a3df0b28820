package client

import (
	"context"

	"github.com/roostbus/roost/bus"
)

// Switch has the registry move to another store, or says what that would do; for operators.
// It returns when that has begun: see [Client.SwitchStatus]. ErrInvalid, ErrConflict if
// another move is under way.
func (c *Client) Switch(ctx context.Context, q bus.SwitchRequest) (*bus.SwitchReply, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return c.switching(ctx, "start", q)
}

// SwitchStatus says where the registry lies and how the newest move is; for operators.
func (c *Client) SwitchStatus(ctx context.Context) (*bus.SwitchReply, error) {
	return c.switching(ctx, "status", bus.SwitchStatusRequest{})
}

// AbortSwitch gives up the move that is under way; for operators. ErrNotFound if none is,
// ErrConflict if it is done.
func (c *Client) AbortSwitch(ctx context.Context, reason string) (*bus.SwitchReply, error) {
	return c.switching(ctx, "abort", bus.SwitchAbortRequest{Reason: reason})
}

func (c *Client) switching(ctx context.Context, verb string, body any) (*bus.SwitchReply, error) {
	r := &request{subject: c.subjects.AdminSwitch(verb), idempotent: true}
	a := c.send(ctx, r, Write{}, body)
	if a.err != nil {
		return nil, a.err
	}
	var reply bus.SwitchReply
	if err := decode(a.reply, &reply); err != nil {
		return nil, c.unread(r, err)
	}
	return &reply, nil
}
