package client

import "math"

// alias is a cell of Vose's alias table: of the draws that hit it, own of 2^32 belong to
// the cell itself, the others to another.
type alias struct {
	own   uint32
	other uint32
}

// aliases returns the table for picking by weight. Not all weights are 0.
func aliases(picks []*Registration) []alias {
	n := len(picks)
	var sum float64
	for _, r := range picks {
		sum += float64(r.Weight)
	}
	table := make([]alias, n)
	share := make([]float64, n) // 1: as much as a cell holds
	var small, large []int
	for i, r := range picks {
		share[i] = float64(r.Weight) * float64(n) / sum
		table[i] = alias{own: math.MaxUint32, other: uint32(i)}
		if share[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		table[s] = alias{own: uint32(share[s] * math.MaxUint32), other: uint32(l)}
		if share[l] -= 1 - share[s]; share[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	return table
}

// rendezvous returns the index of the instance that a key belongs to: the one for which
// -ln(u)/weight is the least, where u is a hash of key and instance between 0 and 1.
func (p *pool) rendezvous(key uint64) int {
	best := 0
	if p.shares == nil {
		var most uint64
		for i, h := range p.hashes {
			if score := mix(h ^ key); score >= most {
				best, most = i, score
			}
		}
		return best
	}
	least := math.Inf(1)
	for i, h := range p.hashes {
		u := (float64(mix(h^key)>>11) + 0.5) / (1 << 53)
		if score := -math.Log(u) / p.shares[i]; score < least {
			best, least = i, score
		}
	}
	return best
}

// hashOf is FNV-1a, mixed: the same in every process.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64: every bit of the result depends on all of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
