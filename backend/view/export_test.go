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
