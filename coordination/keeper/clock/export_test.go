package clock

// ClosedConnections returns how many closed connections are remembered.
func (c *Clock) ClosedConnections() int {
	cs := &c.session.Load().connections
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.closed)
}
