package memory

// Usage is usage.
type Usage = usage

// UsageOf returns a usage.
func UsageOf(held, live uint64) Usage { return usage{held: held, live: live} }

// NewOf returns a Releaser of a process that says what it uses, and how it gives back.
func NewOf(look func() Usage, release func()) *Releaser {
	return &Releaser{look: look, release: release}
}

// Allocate returns u when so much more has been allocated.
func (u usage) Allocate(more uint64) Usage { u.allocated += more; return u }

// Look is look.
func Look() (held, live, allocated uint64) { u := look(); return u.held, u.live, u.allocated }
