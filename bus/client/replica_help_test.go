package client

import (
	"testing"

	"github.com/roostbus/roost/bus/client/follow"
)

// at is a registration of default.payments at a revision.
func at(instance string, revision Revision) *Registration {
	return &Registration{
		Key:    Key{Namespace: "default", Service: "payments", Instance: instance},
		Status: Up, Weight: DefaultWeight, Revision: revision, CreatedRevision: revision,
	}
}

// holding returns a Replica that a list has filled.
func holding(tb testing.TB, list ...*Registration) *Replica {
	tb.Helper()
	o, err := newOptions(nil)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := open(nil, o)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := NewReplica(c, Query{})
	if err != nil {
		tb.Fatal(err)
	}
	r.relisted(1, list...)
	return r
}

// relisted begins an epoch with list.
func (r *Replica) relisted(epoch Epoch, list ...*Registration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var newest Revision
	for _, found := range list {
		newest = max(newest, found.Revision)
	}
	stamp := Stamp{Epoch: epoch, Revision: newest}
	r.restart(r.rule.Merge(follow.Answer{Request: follow.Request{Afresh: true}, Stamp: stamp, Registrations: list}, r.held, r.made), stamp)
	r.refresh()
}

// happens applies events.
func (r *Replica) happens(events ...Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.apply(e)
	}
	r.refresh()
}

func event(kind EventKind, r *Registration) Event {
	return Event{Kind: kind, Registration: r, Revision: r.Revision}
}
