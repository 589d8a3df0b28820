package durable

// Mirrors returns how many scopes are held in memory.
func (b *Backend) Mirrors() int {
	b.feed.mu.Lock()
	defer b.feed.mu.Unlock()
	return len(b.feed.mirrors)
}
