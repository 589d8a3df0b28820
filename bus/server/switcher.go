package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/switching"
)

// Reads is where the registry is read from: what is kept under [ReadsKey] for all nodes.
type Reads struct {
	Backend string `json:"backend"`
}

// ReadsKey is the store's key that holds [Reads], where it has ever been changed.
const ReadsKey = "reads"

// SwitcherOf returns the Switcher that moves store. node is the one that answers, kind
// returns where it reads from, and bucket is the registry's own name for one.
func SwitcherOf(store *switching.Store, node, bucket string, kind func() string) Switcher {
	return &switcher{store: store, node: node, bucket: bucket, kind: kind}
}

type switcher struct {
	store        *switching.Store
	node, bucket string
	kind         func() string
}

// Start implements [Switcher].
func (s *switcher) Start(ctx context.Context, q bus.SwitchRequest) (bus.SwitchReply, error) {
	home := s.store.Where()
	to := switching.Place{Kind: switching.Bucket, Bucket: q.Bucket, URL: q.NATSURL}
	switch q.NATSURL {
	case "":
		to.URL = home.URL
	case bus.OwnNATS:
		to.URL = ""
	}
	to.Bucket = cmp.Or(q.Bucket, home.Bucket, s.bucket)
	if to == home { // only where it is read from
		if q.Backend == "" {
			return bus.SwitchReply{}, translateSwitch(switching.ErrThere)
		}
		if !q.DryRun {
			if err := s.read(ctx, q.Backend); err != nil {
				return bus.SwitchReply{}, err
			}
		}
		reply, err := s.Status(ctx)
		if q.DryRun {
			reply.Plan = &bus.SwitchPlan{To: place(to)}
		}
		return reply, err
	}
	here, there, err := s.store.Plan(ctx, to)
	if err != nil {
		return bus.SwitchReply{}, translateSwitch(err)
	}
	if q.DryRun {
		reply, err := s.Status(ctx)
		reply.Plan = &bus.SwitchPlan{To: place(to), Keys: here.Keys, Replaces: there.Keys}
		return reply, err
	}
	if now := s.store.Status().Record; now.To == to && (now.State == switching.Copying || now.State == switching.Pausing || now.State == switching.Sealed) {
		return s.Status(ctx) // it was asked for before
	}
	if q.Backend != "" {
		if err := s.read(ctx, q.Backend); err != nil {
			return bus.SwitchReply{}, err
		}
	}
	r, err := s.store.Start(ctx, to)
	if err != nil {
		return bus.SwitchReply{}, translateSwitch(err)
	}
	return s.reply(r), nil
}

// read has every node read from elsewhere.
func (s *switcher) read(ctx context.Context, kind string) error {
	cell := kvstore.CellAt[Reads](s.store, ReadsKey)
	for {
		now, at, err := cell.Get(ctx)
		if err == nil && now.Backend != kind {
			_, err = cell.Set(ctx, Reads{Backend: kind}, at, kvstore.Labels{})
		}
		if !errors.Is(err, kvstore.ErrConflict) {
			return translateSwitch(err)
		}
	}
}

// Abort implements [Switcher].
func (s *switcher) Abort(ctx context.Context, reason string) (bus.SwitchReply, error) {
	r, err := s.store.Abort(ctx, cmp.Or(reason, "an operator aborted it"))
	if err != nil {
		return bus.SwitchReply{}, translateSwitch(err)
	}
	return s.reply(r), nil
}

// Status implements [Switcher].
func (s *switcher) Status(context.Context) (bus.SwitchReply, error) {
	return s.reply(s.store.Status().Record), nil
}

func (s *switcher) reply(r switching.Record) bus.SwitchReply {
	now := s.store.Status()
	reply := bus.SwitchReply{
		Node: s.node, Backend: s.kind(), Home: place(now.Place), Nodes: append([]string{}, now.Nodes...),
		WaitingMs: now.Waiting.Milliseconds(),
	}
	slices.Sort(reply.Nodes)
	if r.ID == "" {
		return reply
	}
	state := r.State
	if state == switching.Incoming || state == switching.Arrived {
		state = bus.SwitchDone
	}
	reply.Switch = &bus.Switch{
		ID: r.ID, State: state, From: place(r.From), To: place(r.To), Node: r.Node, StartedAt: bus.Instant(r.Started),
		Copied: r.Copied, Keys: r.Keys, PauseMs: r.PauseMs, Reason: r.Reason,
	}
	return reply
}

func place(p switching.Place) bus.Place {
	shown := bus.Place{Kind: p.Kind, Bucket: p.Bucket}
	if u, err := url.Parse(p.URL); err == nil {
		shown.NATSURL = u.Redacted()
	}
	return shown
}

// translateSwitch returns err as one of package backend that says what to do.
func translateSwitch(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, switching.ErrBusy):
		return fmt.Errorf("%w: %w; see roost backend status, or end it with roost backend switch --abort", backend.ErrConflict, err)
	case errors.Is(err, switching.ErrStray):
		return fmt.Errorf("%w: %w", backend.ErrConflict, err)
	case errors.Is(err, switching.ErrCommitted):
		return fmt.Errorf("%w: %w; switch back if it was a mistake", backend.ErrConflict, err)
	case errors.Is(err, switching.ErrNone):
		return fmt.Errorf("%w: %w", backend.ErrNotFound, err)
	case errors.Is(err, switching.ErrThere), errors.Is(err, switching.ErrOccupied), errors.Is(err, kvstore.ErrInvalid):
		return backend.Invalid("bucket", "%v", err)
	case errors.Is(err, switching.ErrUnreachable):
		return backend.Invalid("nats_url", "%v", err)
	case errors.Is(err, kvstore.ErrUnknownOutcome):
		return fmt.Errorf("%w: %w", backend.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
}
