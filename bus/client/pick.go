package client

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/roostbus/roost/backend"
)

// Service picks instances of one service from a [Replica]. Hold on to it: making one costs
// a lock, picking none and no allocation.
//
// Instances that are up are picked from; only where there is none, those that are
// draining; never one that is down. Among these a weight of 0 is passed over, unless all
// have it, which makes them equal. All ways of picking return false where nothing is to be
// picked. What they return is shared and must not be changed.
type Service struct {
	scope Scope
	turn  atomic.Uint64
	now   atomic.Pointer[pool]
	dirty bool // the Replica's
}

// Service returns the service called name. It is empty where the Replica's query does not
// cover it.
func (r *Replica) Service(namespace, name string) *Service {
	scope := Scope{Namespace: namespace, Service: name}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.services[scope]
	if s == nil {
		s = &Service{scope: scope}
		s.refresh(r)
		r.services[scope] = s
	}
	return s
}

// pool is what is picked from at one moment. It never changes.
type pool struct {
	all    []*Registration // whatever their status
	picks  []*Registration
	hashes []uint64  // of the picks' names
	shares []float64 // their weights, nil if all are equal
	alias  []alias   // for picking by weight, nil if all are equal
}

// refresh makes s's pool anew. r.mu is held.
func (s *Service) refresh(r *Replica) {
	s.dirty = false
	var all []*Registration
	q := Query{Scope: s.scope}
	for s.scope.Validate() == nil && s.scope.Service != "" {
		page, err := r.List(q)
		if err != nil {
			break
		}
		all = append(all, page.Registrations...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	s.now.Store(newPool(all))
}

func newPool(all []*Registration) *pool {
	p := &pool{all: all}
	for _, status := range []backend.Status{backend.Up, backend.Draining} {
		for _, r := range all {
			if max(r.Status, backend.Up) == status {
				p.picks = append(p.picks, r)
			}
		}
		if len(p.picks) > 0 {
			break
		}
	}
	if slices.ContainsFunc(p.picks, func(r *Registration) bool { return r.Weight > 0 }) {
		p.picks = slices.DeleteFunc(p.picks, func(r *Registration) bool { return r.Weight == 0 })
	}
	p.hashes = make([]uint64, len(p.picks))
	for i, r := range p.picks {
		p.hashes[i] = hashOf(r.Instance)
		if r.Weight != p.picks[0].Weight && p.shares == nil {
			p.shares = make([]float64, len(p.picks))
		}
	}
	if p.shares != nil {
		for i, r := range p.picks {
			p.shares[i] = float64(r.Weight)
		}
		p.alias = aliases(p.picks)
	}
	return p
}

// Pick returns one instance after the other, in turn, whatever their weights.
func (s *Service) Pick() (*Registration, bool) {
	p := s.now.Load()
	n := uint64(len(p.picks))
	if n == 0 {
		return nil, false
	}
	return p.picks[s.turn.Add(1)%n], true
}

// PickRandom returns an instance by chance, whatever their weights.
func (s *Service) PickRandom() (*Registration, bool) {
	p := s.now.Load()
	if len(p.picks) == 0 {
		return nil, false
	}
	return p.picks[scale(uint32(rand.Uint64()), len(p.picks))], true
}

// PickWeighted returns an instance by chance, each as often as its weight says.
func (s *Service) PickWeighted() (*Registration, bool) {
	p := s.now.Load()
	if len(p.picks) == 0 {
		return nil, false
	}
	chance := rand.Uint64()
	i := scale(uint32(chance), len(p.picks))
	if p.alias != nil && uint32(chance>>32) >= p.alias[i].own {
		i = int(p.alias[i].other)
	}
	return p.picks[i], true
}

// PickFor returns the instance that key belongs to, by rendezvous hashing: every process
// that holds the same instances picks the same one, each gets as many keys as its weight
// says, and when an instance comes or goes only the keys move that it gets or had. It
// takes time in proportion to the number of instances.
func (s *Service) PickFor(key string) (*Registration, bool) {
	p := s.now.Load()
	if len(p.picks) == 0 {
		return nil, false
	}
	return p.picks[p.rendezvous(hashOf(key))], true
}

// Instances returns all instances, whatever their status, in the order of lists. The
// slice is shared and must not be changed.
func (s *Service) Instances() []*Registration { return s.now.Load().all }

// scale maps a random number evenly to 0 to n-1.
func scale(random uint32, n int) int { return int(uint64(random) * uint64(n) >> 32) }
