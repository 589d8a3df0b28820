package history

import "strconv"

// counter is the state of one.
type counter struct {
	value int64
	over  bool
}

func (c *counter) String() string { return strconv.FormatInt(c.value, 10) }

func (c *counter) equal(other *counter) bool { return *c == *other }

// step reports whether a counter in state c can answer d so, and its state then.
func (c counter) step(d Deed, f Finding) (counter, bool) {
	switch {
	case d.Verb == ceases:
		c.over = true
		return c, true
	case f.Fate == Unknown && c.over:
		return c, true
	case d.Verb == Read:
		return c, f.Value == c.value
	}
	c.value += d.Delta
	return c, f.Fate == Unknown || f.Value == c.value
}
