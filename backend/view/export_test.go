package view

// WithSizes makes small what is large, so that few rows go through the code for many.
func WithSizes(small, batch, step int) Option {
	return optionFunc(func(o *options) { o.sizes = sizes{small: small, batch: batch, step: step} })
}

// Watchers returns how many watches the feeder tells of changes.
func (v *View) Watchers() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n := 0
	for _, set := range v.watchers {
		n += len(set)
	}
	return n
}

// Waiting returns how many wait for a key or for a change. It panics where the count is
// not that of those who are held.
func (v *View) Waiting() int {
	v.waits.mu.Lock()
	defer v.waits.mu.Unlock()
	n := 0
	for _, held := range v.waits.keys {
		n += len(held)
	}
	for _, s := range v.waits.scopes {
		n += s.waiters
	}
	if int64(n) != v.waits.waiting.Load() {
		panic("view: the count of those who wait is wrong")
	}
	return n
}
