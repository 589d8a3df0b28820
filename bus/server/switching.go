package server

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Switcher moves the registry to another store.
type Switcher interface {
	// Start begins what q asks for, which has been validated, or says what it would do.
	Start(ctx context.Context, q bus.SwitchRequest) (bus.SwitchReply, error)
	// Abort gives up the move that is under way.
	Abort(ctx context.Context, reason string) (bus.SwitchReply, error)
	// Status says how the newest move is.
	Status(ctx context.Context) (bus.SwitchReply, error)
}

// WithSwitching has the requests about switching be answered by s.
func WithSwitching(s Switcher) Option { return optionFunc(func(o *options) { o.switching = s }) }

// switchEndpoints returns everything that is answered about switching.
func (s *Server) switchEndpoints() []*endpoint {
	if s.switching == nil {
		return nil
	}
	const reply = `{"node", "backend", "home", "nodes", "switch": {"id", "state", "from", "to", "copied", "keys", …}}`
	return []*endpoint{
		{
			name: "admin-switch-start", subject: s.subjects.AdminSwitch("start"), handle: s.switchStart,
			about:   "move the registry to another store",
			request: `{"backend": "hybrid"|"durable", "bucket": "…", "nats_url": "…", "dry_run": false}`, reply: reply,
		},
		{
			name: "admin-switch-status", subject: s.subjects.AdminSwitch("status"), handle: s.switchStatus,
			about: "how the newest move of the registry is", request: "{}", reply: reply,
		},
		{
			name: "admin-switch-abort", subject: s.subjects.AdminSwitch("abort"), handle: s.switchAbort,
			about: "give up the move that is under way", request: `{"reason": "…"}`, reply: reply,
		},
	}
}

func (s *Server) switchStart(ctx context.Context, r *request) (answer, error) {
	var q bus.SwitchRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Validate(); err != nil {
		return answer{}, err
	}
	return switched(s.switching.Start(ctx, q))
}

func (s *Server) switchStatus(ctx context.Context, r *request) (answer, error) {
	var q bus.SwitchStatusRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	return switched(s.switching.Status(ctx))
}

func (s *Server) switchAbort(ctx context.Context, r *request) (answer, error) {
	var q bus.SwitchAbortRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := (backend.Write{Reason: q.Reason}).Validate(); err != nil {
		return answer{}, err
	}
	return switched(s.switching.Abort(ctx, q.Reason))
}

func switched(reply bus.SwitchReply, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	body, err := encode(reply)
	return answer{body: body}, err
}
