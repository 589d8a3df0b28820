package natskv

import "time"

const (
	// smallestGroup is how many writes at least are made as one.
	smallestGroup = 8
	// trialGroup is how many writes at least are made as one to learn what that costs.
	trialGroup = 16
	// surelyGroup is how many writes are cheaper as one on any disk.
	surelyGroup = 256
	// costsLast is how long what a write costs is taken for true.
	costsLast = 2 * time.Second
	// crowd is how many writes must be under way for one to show what each of many costs:
	// one alone takes the time of the way there and back, too.
	crowd = 4
)

// costs is what writes were seen to cost, each by itself and as groups. Which is cheaper
// depends on the disk: an atomic batch costs the server some ten syncs, whatever its size.
type costs struct {
	one, group     time.Duration // one of many writes each by itself; a whole group
	oneAt, groupAt time.Time     // when that was last seen
	size           int           // of the newest group, if it was made as one
}

// worth reports whether n writes should be made as a group. What has not been seen for a
// while is tried again.
func (c *costs) worth(n int, now time.Time) bool {
	switch {
	case n < smallestGroup:
		return false
	case c.one == 0 || now.Sub(c.oneAt) > costsLast:
		return n >= surelyGroup
	case c.group == 0 || now.Sub(c.groupAt) > costsLast:
		return n >= trialGroup
	}
	return time.Duration(n)*c.one > c.group
}

// expects reports whether another group should be gathered while n writes are under way:
// those who were answered at once mostly come again at once.
func (c *costs) expects(n int, now time.Time) bool {
	return c.worth(n, now) || n > 1 && now.Sub(c.groupAt) < 2*c.group && c.worth(c.size, now)
}

// alone takes note of a write that took so long, of n that were under way when it began.
func (c *costs) alone(took time.Duration, n int, now time.Time) {
	if n < crowd {
		return
	}
	c.one, c.oneAt = smooth(c.one, took/time.Duration(n), now.Sub(c.oneAt)), now
}

// together takes note of a group of n that took so long. If it was refused each of its
// writes is yet to be made.
func (c *costs) together(took time.Duration, n int, refused bool, now time.Time) {
	c.size = n
	if refused {
		took += time.Duration(n) * c.one
		c.size = 0
	}
	c.group, c.groupAt = smooth(c.group, took, now.Sub(c.groupAt)), now
}

// smooth returns what lies between an estimate of that age and a newer sample.
func smooth(estimate, sample, age time.Duration) time.Duration {
	if estimate == 0 || age > costsLast {
		return max(sample, 1)
	}
	return max(estimate+(sample-estimate)/4, 1)
}
