package coordination

import "slices"

// Demand is what a party wants of a lock or a semaphore.
type Demand struct {
	Mode    Mode `json:"mode,omitempty"`
	Permits int  `json:"permits,omitempty"`
}

// Hold is what a party has of it.
type Hold struct {
	Party
	Demand
	Token Token `json:"token"`
}

// Wait is what a party waits for.
type Wait struct {
	Party
	Demand
	Ticket Ticket `json:"ticket"`
}

// queue is who holds and who waits, in the order of coming. Whoever waits at the head holds
// back those behind, also where there would be enough for them.
type queue struct {
	// Token is the newest that was given.
	Token   Token  `json:"token,omitzero"`
	Holders []Hold `json:"holders,omitempty"`
	Waiters []Wait `json:"waiters,omitempty"`
}

// fits reports whether there is enough for a demand beside holders.
type fits func(holders []Hold, d Demand) bool

// rules are what one transition of a queue goes by. All who are served in it share one
// token, the one after that with which it began: so however much happens in a transition
// the counter grows by one at the most.
type rules struct {
	turn  *Turn
	token Token
	fit   fits
}

func (q *queue) rules(turn *Turn, fit fits) *rules {
	return &rules{turn: turn, token: q.Token.next(turn), fit: fit}
}

func (q *queue) holder(p Party) int {
	return slices.IndexFunc(q.Holders, func(h Hold) bool { return h.Party == p })
}

func (q *queue) waiter(p Party) int {
	return slices.IndexFunc(q.Waiters, func(w Wait) bool { return w.Party == p })
}

// Held returns the token of what p holds, or false.
func (q *queue) Held(p Party) (Token, bool) {
	if i := q.holder(p); i >= 0 {
		return q.Holders[i].Token, true
	}
	return Token{}, false
}

// Waits reports whether p waits, and returns who has to be served before.
func (q *queue) Waits(p Party) (ahead int, ok bool) {
	i := q.waiter(p)
	return max(i, 0), i >= 0
}

// TicketOf returns the ticket with which p waits, or false.
func (q *queue) TicketOf(p Party) (Ticket, bool) {
	if i := q.waiter(p); i >= 0 {
		return q.Waiters[i].Ticket, true
	}
	return Ticket{}, false
}

// Owners returns everybody whom the record names.
func (q *queue) Owners() []string {
	owners := make([]string, 0, len(q.Holders)+len(q.Waiters))
	for i := range q.Holders {
		owners = append(owners, q.Holders[i].Owner)
	}
	for i := range q.Waiters {
		owners = append(owners, q.Waiters[i].Owner)
	}
	return owners
}

// Tickets returns the requests that wait.
func (q *queue) Tickets() []Ticket {
	tickets := make([]Ticket, len(q.Waiters))
	for i := range q.Waiters {
		tickets[i] = q.Waiters[i].Ticket
	}
	return tickets
}

// Idle reports whether nobody holds it or waits.
func (q *queue) Idle() bool { return len(q.Holders) == 0 && len(q.Waiters) == 0 }

// acquire gives p what it demands, or has it wait with the ticket, or, without one, leaves
// it with nothing. Of somebody who waits already the ticket is replaced.
func (q queue) acquire(r *rules, p Party, d Demand, ticket *Ticket) (queue, error) {
	q = q.advance(r)
	if i := q.holder(p); i >= 0 {
		if held := q.Holders[i].Demand; held != d {
			return q, conflict("it is held as %v already", held)
		}
		return q, nil
	}
	at := q.waiter(p)
	if at >= 0 && q.Waiters[at].Demand != d {
		return q, conflict("it is waited for as %v already", q.Waiters[at].Demand)
	}
	switch {
	case at >= 0 && ticket == nil:
		return q.leave(r, p), nil
	case at >= 0:
		q.Waiters = slices.Clone(q.Waiters)
		q.Waiters[at].Ticket = *ticket
		return q, nil
	case len(q.Waiters) == 0 && r.fit(q.Holders, d):
		q.Token = r.token
		q.Holders = append(slices.Clip(q.Holders), Hold{p, d, q.Token})
		return q, nil
	case ticket == nil:
		return q, nil
	case len(q.Waiters) >= MaxWaiters:
		return q, tooMany("waiters")
	}
	q.Waiters = append(slices.Clip(q.Waiters), Wait{p, d, *ticket})
	return q, nil
}

// leave takes p out, whether it holds or waits.
func (q queue) leave(r *rules, p Party) queue {
	q.Holders = without(q.Holders, func(h *Hold) bool { return h.Party == p })
	q.Waiters = without(q.Waiters, func(w *Wait) bool { return w.Party == p })
	return q.advance(r)
}

// giveUp takes out whoever waits with a ticket that is gone.
func (q queue) giveUp(r *rules, gone func(Ticket) bool) queue {
	q.Waiters = without(q.Waiters, func(w *Wait) bool { return gone(w.Ticket) })
	return q.advance(r)
}

// clear takes everybody out.
func (q queue) clear() queue { return queue{Token: q.Token} }

// strip takes out whoever's lease has ended, and serves nobody.
func (q queue) strip(ended func(string) bool) queue {
	q.Holders = without(q.Holders, func(h *Hold) bool { return ended(h.Owner) })
	q.Waiters = without(q.Waiters, func(w *Wait) bool { return ended(w.Owner) })
	return q
}

// advance takes out whoever's lease has ended and serves from the head of the queue.
func (q queue) advance(r *rules) queue {
	q = q.strip(r.turn.Ended)
	q.Holders = slices.Clip(q.Holders)
	served := 0
	for served < len(q.Waiters) && r.fit(q.Holders, q.Waiters[served].Demand) {
		w := &q.Waiters[served]
		q.Token = r.token
		q.Holders = append(q.Holders, Hold{w.Party, w.Demand, q.Token})
		served++
	}
	switch served {
	case 0:
	case len(q.Waiters):
		q.Waiters = nil
	default:
		q.Waiters = slices.Clone(q.Waiters[served:])
	}
	return q
}
