package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

func message(headers map[string]string, body string) *nats.Msg {
	m := &nats.Msg{Subject: "roost.v1.event.default.payments.i-1", Header: nats.Header{}, Data: []byte(body)}
	for name, value := range headers {
		m.Header.Set(name, value)
	}
	return m
}

func subjects(t *testing.T) bus.Subjects {
	t.Helper()
	s, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const eventBody = `{"namespace":"default","service":"payments","instance":"i-1","metadata":{"n":1.0},"owner":"o"}`

func TestAnEventCarriesItsRevisionInItsHeaders(t *testing.T) {
	t.Parallel()
	e, err := parseEvent(subjects(t), message(map[string]string{
		bus.HeaderEvent: "registered", bus.HeaderReason: "replaced", bus.HeaderSequence: "9", bus.HeaderLastSequence: "4",
	}, eventBody))
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		Kind: Registered, Reason: "replaced", Revision: 9, Previous: 4,
		Registration: &Registration{
			Key: key, Metadata: `{"n":1.0}`, Owner: "o", Weight: DefaultWeight, Status: Up, Revision: 9, CreatedRevision: 9,
		},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
}

func TestARemovalShowsTheRegistrationAsItLastWas(t *testing.T) {
	t.Parallel()
	e, err := parseEvent(subjects(t), message(map[string]string{
		bus.HeaderEvent: "expired", bus.HeaderKVOperation: "PURGE", bus.HeaderSequence: "9", bus.HeaderLastSequence: "4",
	}, eventBody))
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind != Expired || e.Revision != 9 || e.Registration.Revision != 4 {
		t.Errorf("got %v at %d of a registration at %d; want expired at 9 of one at 4", e.Kind, e.Revision, e.Registration.Revision)
	}
}

func TestAMessageThatIsNoEventIsRefused(t *testing.T) {
	t.Parallel()
	good := map[string]string{bus.HeaderEvent: "registered", bus.HeaderSequence: "9", bus.HeaderLastSequence: "4"}
	with := func(name, value string) map[string]string {
		m := map[string]string{name: value}
		for n, v := range good {
			if n != name {
				m[n] = v
			}
		}
		return m
	}
	for name, m := range map[string]*nats.Msg{
		"no sequence":                message(with(bus.HeaderSequence, ""), eventBody),
		"no last sequence":           message(with(bus.HeaderLastSequence, "x"), eventBody),
		"no body":                    message(good, ""),
		"another key":                message(good, `{"namespace":"default","service":"payments","instance":"i-2"}`),
		"a marker without a removal": message(with(bus.HeaderKVOperation, "PURGE"), eventBody),
		"a removal without a marker": message(with(bus.HeaderEvent, "expired"), eventBody),
	} {
		if e, err := parseEvent(subjects(t), m); err == nil {
			t.Errorf("%s: got %+v; want an error", name, e)
		}
	}
}
