package client

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// parseEvent reads a message of the event subjects.
func parseEvent(subjects bus.Subjects, m *nats.Msg) (backend.Event, error) {
	key, err := subjects.ParseEvent(m.Subject)
	if err != nil {
		return backend.Event{}, err
	}
	revision, err := sequence(m, bus.HeaderSequence)
	if err != nil {
		return backend.Event{}, err
	}
	previous, err := sequence(m, bus.HeaderLastSequence)
	if err != nil {
		return backend.Event{}, err
	}
	r, err := backend.ParseRegistration(m.Data)
	if err != nil {
		return backend.Event{}, err
	}
	if r.Key != key {
		return backend.Event{}, fmt.Errorf("event of %s tells of %s", key, r.Key)
	}
	e := backend.Event{
		Kind:         backend.ParseEventKind(m.Header.Get(bus.HeaderEvent)),
		Reason:       m.Header.Get(bus.HeaderReason),
		Registration: &r,
		Revision:     revision,
		Previous:     previous,
	}
	if removal := m.Header.Get(bus.HeaderKVOperation) != ""; removal != e.Kind.Removes() {
		return backend.Event{}, fmt.Errorf("event %q with the marker %q",
			m.Header.Get(bus.HeaderEvent), m.Header.Get(bus.HeaderKVOperation))
	}
	if !e.Kind.Removes() { // of a removal the body is the registration as it last was
		r.Revision = revision
	} else if r.Revision == 0 {
		r.Revision = previous
	}
	if r.CreatedRevision == 0 {
		r.CreatedRevision = r.Revision
	}
	return e, nil
}

func sequence(m *nats.Msg, header string) (backend.Revision, error) {
	n, err := strconv.ParseUint(m.Header.Get(header), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s of an event: %w", header, err)
	}
	return backend.Revision(n), nil
}
