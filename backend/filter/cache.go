package filter

import (
	"sync"

	"github.com/roostbus/roost/backend"
)

// Cache keeps compiled filters, since most queries repeat a few texts. Its zero value
// is not usable.
type Cache struct {
	mu    sync.Mutex
	held  map[string]*entry
	newer *entry // the newest; a ring
}

// entry is a filter in the ring of those that were used, the newest first.
type entry struct {
	text       string
	filter     Filter
	next, prev *entry
}

// cacheSize is how many filters a Cache holds.
const cacheSize = 256

// NewCache returns an empty Cache.
func NewCache() *Cache { return &Cache{held: map[string]*entry{}} }

// Compile is [Compile] that keeps what it made. The empty text selects everything and
// has no Filter: nil.
func (c *Cache) Compile(text string) (Filter, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // the documented answer: no filter
	}
	if f := c.get(text); f != nil {
		return f, nil
	}
	f, err := Compile(text)
	if err != nil {
		return nil, err
	}
	c.put(text, f)
	return f, nil
}

// Query is Compile for q's filter, after checking q itself.
func (c *Cache) Query(q *backend.Query) (Filter, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return c.Compile(q.Filter)
}

func (c *Cache) get(text string) Filter {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.held[text]
	if e == nil {
		return nil
	}
	c.unlink(e)
	c.link(e)
	return e.filter
}

func (c *Cache) put(text string, f Filter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[text] != nil {
		return
	}
	if len(c.held) == cacheSize {
		oldest := c.newer.prev
		c.unlink(oldest)
		delete(c.held, oldest.text)
	}
	e := &entry{text: text, filter: f}
	c.held[text] = e
	c.link(e)
}

func (c *Cache) link(e *entry) {
	if c.newer == nil {
		e.next, e.prev = e, e
	} else {
		e.next, e.prev = c.newer, c.newer.prev
		e.next.prev, e.prev.next = e, e
	}
	c.newer = e
}

func (c *Cache) unlink(e *entry) {
	if e.next == e {
		c.newer = nil
		return
	}
	if c.newer == e {
		c.newer = e.next
	}
	e.next.prev, e.prev.next = e.prev, e.next
}
