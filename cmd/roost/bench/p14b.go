package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// silentCell is P14b.
func silentCell() Cell {
	return Cell{
		ID: "P14b", Unit: "deaths", JetStream: true, Serve: []string{"--lease-hold-share", "1"},
		About: "from the last keepalive that the keeper received of a stopped process (SIGSTOP) to the event that its registration is gone; " +
			"from the sending of the last keepalives of many leases, which a registry must be told not to hold back (--lease-hold-share 1), " +
			"until no read returns any of what they held, whose names are then free; and to the event of each, which the end itself does not wait for",
		Baseline: "a timer of the TTL, in this process",
		Prepare:  prepareSilent,
	}
}

const (
	stoppedTTL = time.Second
	massTTL    = 3 * time.Second
	tooLate    = 250 * time.Millisecond // after the TTL
)

func prepareSilent(_ context.Context, w *World) ([]Case, error) {
	w.cleanups = append(w.cleanups, w.removeAll)
	events, err := w.mourn(w.url, w.subjects.Events(backend.Scope{Namespace: w.scratch}), expired)
	if err != nil {
		return nil, err
	}
	beats, err := w.overhear()
	if err != nil {
		return nil, err
	}
	var drawn counter
	many := max(w.c.Leases/10, 1)
	return []Case{
		{
			What: "stopped", InFlight: 1, Cold: true, Budget: Budget{P99Us: microseconds(stoppedTTL + tooLate)},
			Roost: Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
				return w.stopOne(ctx, w.key(drawn.next()), beats, events)
			}},
			Bare: timer(stoppedTTL),
		},
		{
			What: fmt.Sprintf("%d together, for reads", many), InFlight: 1, Cold: true, Budget: Budget{P99Us: microseconds(massTTL + tooLate)},
			Roost: Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
				n, reads, _, err := w.silence(ctx, drawn.take(many), many, events)
				return n, []time.Duration{reads}, err
			}},
			Bare: timer(massTTL),
		},
		{
			What: fmt.Sprintf("%d together, as events", many), InFlight: 1, Cold: true,
			Roost: Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
				n, _, each, err := w.silence(ctx, drawn.take(many), many, events)
				return n, each, err
			}},
			Bare: timer(massTTL),
		},
	}, nil
}

// timer is a side that waits for d.
func timer(d time.Duration) Side {
	return Side{Do: func(ctx context.Context, _ int) (int, error) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return 1, nil
	}}
}

// overhear returns how to learn when the newest keepalive of a lease came. It sees the
// keeper's requests, as a trusted client may.
func (w *World) overhear() (latest func(secret string) time.Time, err error) {
	nc, err := w.connect()
	if err != nil {
		return nil, err
	}
	w.afterwards(func() error { nc.Close(); return nil })
	var heard beatsHeard
	if _, err := nc.Subscribe(w.subjects.LeaseKeepalive(), heard.hear); err != nil {
		return nil, err
	}
	if err := nc.Flush(); err != nil {
		return nil, err
	}
	if err := nc.LastError(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoJetStream, err)
	}
	return heard.latest, nil
}

// stopOne stops a process that holds key, and returns how long after its last keepalive
// that is gone.
func (w *World) stopOne(ctx context.Context, key backend.Key, beats func(string) time.Time, events *mourner) (int, []time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
	defer cancel()
	p, secret, err := w.victim(ctx, w.url, Doomed{Key: key.String(), TTL: stoppedTTL})
	if err != nil {
		return 0, nil, err
	}
	defer p.kill() // only now: its connection stands until then
	for beats(secret).IsZero() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0, nil, fmt.Errorf("no keepalive was heard: %w", context.Cause(ctx))
		}
	}
	if err := suspend(p.cmd.Process); err != nil {
		return 0, nil, err
	}
	at, err := events.when(ctx, w.subjects.Event(key))
	if err != nil {
		return 0, nil, err
	}
	return 1, []time.Duration{at.Sub(beats(secret))}, nil
}

// silence has n leases granted that hold the keys from the first on, keeps them alive
// until all are there, and then no more. It returns how long after the sending of the first
// of their last keepalives no read returned any of the keys, and how long after that of its
// own each key's event came.
func (w *World) silence(ctx context.Context, first, n int, events *mourner) (units int, reads time.Duration, each []time.Duration, err error) {
	secrets := make([]string, 0, n)
	for len(secrets) < n {
		more, err := w.grantHolding(ctx, first+len(secrets), min(bus.MaxKeepalive, n-len(secrets)))
		if err != nil {
			return 0, 0, nil, err
		}
		secrets = append(secrets, more...)
		if _, err := w.beatAll(secrets); err != nil {
			return 0, 0, nil, err
		}
	}
	sent, err := w.beatAll(secrets)
	if err != nil {
		return 0, 0, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.c.Timeout+massTTL)
	defer cancel()
	none, err := w.untilNone(ctx)
	if err != nil {
		return 0, 0, nil, err
	}
	each = make([]time.Duration, n)
	for i := range each {
		at, err := events.when(ctx, w.subjects.Event(w.key(first+i)))
		if err != nil {
			return 0, 0, nil, err
		}
		if each[i] = at.Sub(sent[i]); each[i] < massTTL {
			return 0, 0, nil, fmt.Errorf("%v after its last keepalive %s was gone: %w", each[i], w.key(first+i), errTooEarly)
		}
	}
	return n, none.Sub(sent[0]), each, nil
}

// untilNone returns when no read returns any registration of the run any more.
func (w *World) untilNone(ctx context.Context) (time.Time, error) {
	for {
		there, err := w.count(w.scratch)
		if err != nil || there == 0 {
			return time.Now(), err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%d registrations are still there: %w", there, context.Cause(ctx))
		}
	}
}

// errTooEarly would break a promise.
var errTooEarly = errors.New("a lease must not end before its TTL has passed")

// grantHolding has n leases granted and the keys from the first on registered under them,
// one each.
func (w *World) grantHolding(ctx context.Context, first, n int) ([]string, error) {
	secrets, err := w.grant(ctx, n, massTTL)
	if err != nil {
		return nil, err
	}
	var b []byte
	b = append(b, `{"operations":[`...)
	for i, s := range secrets {
		if i > 0 {
			b = append(b, ',')
		}
		key := w.key(first + i)
		b = append(b, `{"op":"register","service":"`+key.Service+`","instance":"`+key.Instance+`","lease":"`+s+`",`+content+`}`...)
	}
	answer, err := w.ask(0, w.batchSubject(w.scratch), append(b, `]}`...))
	if err != nil {
		return nil, err
	}
	return secrets, checkBatch(answer, n)
}

// beatAll keeps leases alive, and returns when each keepalive was sent.
func (w *World) beatAll(secrets []string) (sent []time.Time, err error) {
	for chunk := range slices.Chunk(secrets, bus.MaxKeepalive) {
		at := time.Now()
		if _, _, err := w.firstBeat(beatMany(chunk)); err != nil {
			return nil, err
		}
		sent = append(sent, slices.Repeat([]time.Time{at}, len(chunk))...)
	}
	return sent, nil
}
