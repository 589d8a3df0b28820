package bench

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// listCell is P2.
func listCell() Cell {
	return Cell{
		ID: "P2", Unit: "lists",
		About:    fmt.Sprintf("list of a service of %d instances, local, services at random", serviceSize),
		Baseline: "a queue-subscribed echo, subjects at random, replies of the same size",
		Prepare:  prepareList,
	}
}

func prepareList(ctx context.Context, w *World) ([]Case, error) {
	services := w.c.Registrations / serviceSize
	if err := w.populate(ctx, services*serviceSize); err != nil {
		return nil, err
	}
	subjects, answers, sizes := make([]string, services), make([][]byte, services), make([]int, services)
	err := each(services, func(i int) (err error) {
		scope := backend.Scope{Namespace: w.scratch, Service: w.key(i * serviceSize).Service}
		subjects[i] = w.subjects.OfScope(bus.VerbList, scope)
		answers[i], sizes[i], err = w.firstList(scope, subjects[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	echo, answer, err := w.echo(sizes[services/2])
	if err != nil {
		return nil, err
	}
	echoes := make([]string, services)
	for i := range echoes {
		echoes[i] = echo + "." + w.scratch + "." + w.key(i*serviceSize).Service
	}
	roost := w.asks(subjects, func(i int) []byte { return answers[i] })
	bare := w.asks(echoes, func(int) []byte { return answer })
	return []Case{
		{InFlight: 1, Roost: roost, Bare: bare},
		{InFlight: 16, Roost: roost, Bare: bare, Budget: Budget{Rate: 0.85}},
		{InFlight: 64, Roost: roost, Bare: bare},
	}, nil
}

// firstList lists a service and checks that all of it is there.
func (w *World) firstList(scope backend.Scope, subject string) (answer []byte, size int, err error) {
	m, err := w.clients[0].Request(subject, nil, w.c.Timeout)
	if err != nil {
		return nil, 0, err
	}
	if answer, err = answerOf(m); err != nil {
		return nil, 0, err
	}
	var page bus.ListReply
	if err := json.Unmarshal(answer, &page); err != nil {
		return nil, 0, err
	}
	if len(page.Registrations) != serviceSize || page.Next != "" {
		return nil, 0, fmt.Errorf("a list of %s has %d registrations and goes on at %q", scope.Service, len(page.Registrations), page.Next)
	}
	for _, r := range page.Registrations {
		if r.Service != scope.Service || r.Namespace != scope.Namespace {
			return nil, 0, fmt.Errorf("a list of %s contains %s", scope.Service, r.Key)
		}
	}
	return answer, sizeOf(m), nil
}
