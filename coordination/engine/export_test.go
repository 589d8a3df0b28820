package engine

// Wakes returns how many times somebody who waits at an object of any kind was woken.
func (e *Engine) Wakes() uint64 {
	return e.Elections.mirror.watchers.wakes.Load() + e.Locks.mirror.watchers.wakes.Load() +
		e.Semaphores.mirror.watchers.wakes.Load() + e.Barriers.mirror.watchers.wakes.Load() +
		e.Proposals.mirror.watchers.wakes.Load()
}

// Waiting returns how many requests wait at this node.
func (e *Engine) Waiting() int64 { return e.waiters.Load() }
