package coordination

import (
	"slices"

	"github.com/roostbus/roost/backend"
)

// Arrived is a party that waits at a barrier.
type Arrived struct {
	Party
	Ticket Ticket `json:"ticket"`
}

// Barrier has a number of parties wait for each other, generation after generation. Its
// zero value is one that nobody has come to.
type Barrier struct {
	// Done is how many generations were released.
	Done uint64 `json:"done,omitempty"`
	// Size is how many parties the present generation waits for; 0 while nobody has come.
	Size    int       `json:"size,omitempty"`
	Parties []Arrived `json:"parties,omitempty"`
}

// Generation returns the number of the one that waits, from 1.
func (b *Barrier) Generation() uint64 { return b.Done + 1 }

// Arrival is what an arrival came to.
type Arrival struct {
	Generation uint64
	Released   bool
}

// Arrive has p come to a generation, 0 for the present one. The last of size parties
// releases all; before that p waits with the ticket, and without one it has not come. An
// arrival in one that is over is told so and changes nothing. ErrInvalid, ErrConflict.
func (b Barrier) Arrive(turn *Turn, p Party, size int, generation uint64, ticket *Ticket) (Barrier, Arrival, error) {
	if size < 1 || size > MaxWaiters {
		return b, Arrival{}, backend.Invalid("size", "%d must be 1 to %d", size, MaxWaiters)
	}
	b = b.Advance(turn)
	switch {
	case generation != 0 && generation <= b.Done:
		return b, Arrival{Generation: generation, Released: true}, nil
	case generation > b.Generation():
		return b, Arrival{}, conflict("the generation is %d", b.Generation())
	case b.Size != 0 && b.Size != size:
		return b, Arrival{}, conflict("the size is %d", b.Size)
	}
	here := Arrival{Generation: b.Generation()}
	at := slices.IndexFunc(b.Parties, func(a Arrived) bool { return a.Party == p })
	others := len(b.Parties)
	if at >= 0 {
		others--
	}
	switch {
	case others+1 == size:
		here.Released = true
		return Barrier{Done: b.Done + 1}, here, nil
	case ticket == nil && at >= 0:
		b.Parties = without(b.Parties, func(a *Arrived) bool { return a.Party == p })
		return b.emptied(), here, nil
	case ticket == nil:
		return b, here, nil
	case at >= 0:
		b.Parties = slices.Clone(b.Parties)
		b.Parties[at].Ticket = *ticket
		return b, here, nil
	}
	b.Size, b.Parties = size, append(slices.Clip(b.Parties), Arrived{p, *ticket})
	return b, here, nil
}

// GiveUp takes out whoever waits with a ticket that is gone.
func (b Barrier) GiveUp(turn *Turn, gone func(Ticket) bool) Barrier {
	b.Parties = without(b.Parties, func(a *Arrived) bool { return gone(a.Ticket) })
	return b.Advance(turn)
}

// Clear sends everybody away. The generation stays.
func (b Barrier) Clear(*Turn) Barrier { return Barrier{Done: b.Done} }

// Advance takes out whoever's lease has ended.
func (b Barrier) Advance(turn *Turn) Barrier { return b.Strip(turn.Ended) }

// Strip is Advance for readers.
func (b Barrier) Strip(ended func(owner string) bool) Barrier {
	b.Parties = without(b.Parties, func(a *Arrived) bool { return ended(a.Owner) })
	return b.emptied()
}

// TicketOf returns the ticket with which p waits, or false.
func (b *Barrier) TicketOf(p Party) (Ticket, bool) {
	i := slices.IndexFunc(b.Parties, func(a Arrived) bool { return a.Party == p })
	if i < 0 {
		return Ticket{}, false
	}
	return b.Parties[i].Ticket, true
}

// emptied returns b, of which one that nobody waits at has no size.
func (b Barrier) emptied() Barrier {
	if len(b.Parties) == 0 {
		return Barrier{Done: b.Done}
	}
	return b
}

// Owners returns everybody whom the record names.
func (b *Barrier) Owners() (owners []string) {
	for i := range b.Parties {
		owners = append(owners, b.Parties[i].Owner)
	}
	return owners
}

// Tickets returns the requests that wait.
func (b *Barrier) Tickets() (tickets []Ticket) {
	for i := range b.Parties {
		tickets = append(tickets, b.Parties[i].Ticket)
	}
	return tickets
}
