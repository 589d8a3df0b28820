package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// lookupCell is P1.
func lookupCell() Cell {
	return Cell{
		ID: "P1", Unit: "look-ups",
		About:    "look-up of one registration by key, local, keys at random",
		Baseline: "a queue-subscribed echo, subjects at random, replies of the same size",
		Prepare:  prepareLookup,
		Curved:   func(c *Config, n int) { c.Registrations = n },
	}
}

// mostAsked is how many registrations are looked up, so that what their answers have to be
// is remembered in little memory.
const mostAsked = 100_000

func prepareLookup(ctx context.Context, w *World) ([]Case, error) {
	if err := w.populate(ctx, w.c.Registrations); err != nil {
		return nil, err
	}
	asked := min(w.c.Registrations, mostAsked)
	of := func(i int) int { return i * (w.c.Registrations / asked) } // spread over all
	subjects, answers, sizes := make([]string, asked), make([][]byte, asked), make([]int, asked)
	err := each(asked, func(i int) (err error) {
		subjects[i] = w.subjects.OfKey(bus.VerbLookup, w.key(of(i)))
		answers[i], sizes[i], err = w.firstLookup(of(i), subjects[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	echo, answer, err := w.echo(sizes[len(sizes)/2])
	if err != nil {
		return nil, err
	}
	echoes := make([]string, len(subjects))
	for i := range echoes {
		echoes[i] = echo + "." + w.key(of(i)).String()
	}
	roost := w.asks(subjects, func(i int) []byte { return answers[i] })
	bare := w.asks(echoes, func(int) []byte { return answer })
	cases := []Case{
		{InFlight: 1, OnCurve: true, Budget: Budget{P50: 1.15}},
		{InFlight: 16},
		{InFlight: 64, OnCurve: true, Budget: Budget{Rate: 0.90}},
		{InFlight: 256, Budget: Budget{Rate: 0.90}},
	}
	for i := range cases {
		cases[i].Roost, cases[i].Bare = roost, bare
	}
	return cases, nil
}

// firstLookup looks up the i-th registration and checks what it says.
func (w *World) firstLookup(i int, subject string) (answer []byte, size int, err error) {
	m, err := w.client(i).Request(subject, nil, w.c.Timeout)
	if err != nil {
		return nil, 0, err
	}
	if answer, err = answerOf(m); err != nil {
		return nil, 0, err
	}
	r, err := backend.ParseRegistration(answer)
	if err != nil {
		return nil, 0, err
	}
	if r.Key != w.key(i) || !bytes.Contains(answer, []byte(content)) {
		return nil, 0, fmt.Errorf("a look-up of %s was answered with %s", w.key(i), answer)
	}
	return answer, sizeOf(m), nil
}

var errWrongAnswer = errors.New("the answer is not what it was before")

// asks is a side that sends one request after the other, each to one of subjects, and
// checks the answers.
func (w *World) asks(subjects []string, want func(i int) []byte) Side {
	return Side{Do: func(_ context.Context, worker int) (int, error) {
		i := rand.IntN(len(subjects)) //nolint:gosec // nothing to guess
		answer, err := w.ask(worker, subjects[i], nil)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(answer, want(i)) {
			return 0, errWrongAnswer
		}
		return 1, nil
	}}
}
