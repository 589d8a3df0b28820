package client

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client/follow"
)

// announcements is how many announcements wait for a slow consumer before the records are
// read instead.
const announcements = 1024

// herald follows what is announced of objects, by the rule of section 6 of the protocol:
// every announcement is the whole of a committed record, and after whatever may have lost
// one the records are read.
type herald struct {
	kind    bus.Kind
	subject string

	// look reads the records, as read says, and returns what takes in what it has read.
	look func(ctx context.Context, read Read) (stamp Stamp, take taking, err error)

	// heard takes in an announcement that is newer than what was taken in of its object.
	heard func(a *announcement) error
}

// taking takes in what was read. restart says that revisions of before do not compare with
// those of now.
type taking func(restart bool) error

// announcement is a record as it was published.
type announcement struct {
	object   bus.Object
	revision Revision
	body     []byte // nil: the record was removed, because it was empty
}

// attend follows h until ctx is over, the client is closed, or what is read or taken in
// ends it.
func (c *Client) attend(ctx context.Context, h *herald) error {
	e, err := c.listen(ctx, h.subject, relisting, announcements)
	if err != nil {
		return err
	}
	defer e.close()
	e.rule = follow.New()
	e.rule.Reconnected()
	return e.follow(ctx, func(r follow.Request) error { return h.read(ctx, e, r) }, func(retry <-chan time.Time) (bool, error) {
		m, err := e.hear(ctx, retry)
		if m == nil || err != nil {
			return false, err
		}
		return true, h.take(ctx, e, m)
	})
}

// take takes in an announcement.
func (h *herald) take(ctx context.Context, e *ear, m *nats.Msg) error {
	a, err := e.c.announced(h.kind, m)
	if err != nil {
		e.c.log.LogAttrs(ctx, slog.LevelWarn, "announcement cannot be read", slog.String("subject", m.Subject), slog.Any("err", err))
		e.rule.Doubt()
		return nil
	}
	// That of an announcement which was missed is in this one, or is of no matter.
	news := follow.Event{Key: keyOf(a.object), Revision: a.revision, Removes: a.body == nil}
	if e.rule.Event(news, time.Now()) != follow.Apply {
		return nil
	}
	return h.heard(&a)
}

// keyOf is the name that the rule knows an object by.
func keyOf(o bus.Object) Key { return Key{Namespace: o.Namespace, Service: o.Name} }

// read reads the records, because the rule asks for r.
func (h *herald) read(ctx context.Context, e *ear, r follow.Request) error {
	wanted := r.Query(Query{}).Read
	wanted.Consistency = backend.Linearizable
	stamp, take, err := h.look(ctx, wanted)
	if err := e.fared(ctx, r, err); err != nil {
		return err
	}
	o := e.rule.Merge(follow.Answer{Request: r, Stamp: stamp}, func(func(Key, Revision) bool) {}, time.Now())
	if o.Restart {
		e.discard()
	}
	if !o.Merged {
		return nil
	}
	return take(o.Restart)
}

// announced reads a published record.
func (c *Client) announced(kind bus.Kind, m *nats.Msg) (a announcement, err error) {
	if a.object, err = c.subjects.ParseAnnouncement(kind, m.Subject); err != nil {
		return a, err
	}
	revision, err := strconv.ParseUint(m.Header.Get(bus.HeaderSequence), 10, 64)
	if err != nil {
		return a, fmt.Errorf("%s: %w", bus.HeaderSequence, err)
	}
	a.revision = Revision(revision)
	if m.Header.Get(bus.HeaderKVOperation) == "" {
		a.body = m.Data
	}
	return a, nil
}
