package switching

import (
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// verifyPatience is how long the new store may take to be read as a whole while nothing waits
// for that.
const verifyPatience = 5 * time.Minute

// verifyAll reads the new store as a whole and compares it with what was copied.
func (c *copier) verifyAll(ctx context.Context) error {
	scanned, err := c.to.Scan(ctx, []string{">"}, c.newest())
	if err != nil {
		return fmt.Errorf("read the copy: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	there := make(map[string]struct{}, len(scanned.Entries))
	for i := range scanned.Entries {
		e := &scanned.Entries[i]
		if bookkeeping(e.Key) {
			continue
		}
		there[e.Key] = struct{}{}
		if err := c.verify(e); err != nil {
			return err
		}
	}
	for key, copied := range c.copies {
		if _, ok := there[key]; !ok && !copied.removed {
			return fmt.Errorf("verify: %s is missing in the copy", key)
		}
	}
	return nil
}

// verifyAtLeisure is verifyAll while the old store still serves: a store may take longer to
// read a million keys than it usually lets a call take.
func (c *copier) verifyAtLeisure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	return c.verifyAll(ctx)
}

// few is how many keys are asked for at once.
const few = 200

// verifyRest is verifyAll for what has changed since.
func (c *copier) verifyRest(ctx context.Context) error {
	c.mu.Lock()
	var keys []string
	for key, copied := range c.copies {
		if copied.unsure {
			keys = append(keys, key)
		}
	}
	c.mu.Unlock()
	if len(keys) > 10*few {
		return c.verifyAll(ctx)
	}
	for len(keys) > 0 {
		n := min(len(keys), few)
		scanned, err := c.to.Scan(ctx, keys[:n], c.newest())
		if err != nil {
			return fmt.Errorf("read the copy: %w", err)
		}
		there := make(map[string]*kvstore.Entry, n)
		for i := range scanned.Entries {
			there[scanned.Entries[i].Key] = &scanned.Entries[i]
		}
		c.mu.Lock()
		for _, key := range keys[:n] {
			e := there[key]
			if e == nil {
				err = fmt.Errorf("verify: %s is missing in the copy", key)
			} else if err == nil {
				err = c.verify(e)
			}
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// verify compares one entry of the new store. The caller holds mu.
func (c *copier) verify(e *kvstore.Entry) error {
	copied, ok := c.copies[e.Key]
	switch {
	case !ok:
		return fmt.Errorf("verify: %s is in the copy, and nobody has copied it", e.Key)
	case copied.revision != e.Revision:
		return fmt.Errorf("verify: %s is at revision %d of the copy, and was copied at %d", e.Key, e.Revision, copied.revision)
	case copied.hash != c.hash(e):
		return fmt.Errorf("verify: %s differs in the copy", e.Key)
	}
	copied.unsure = false
	c.copies[e.Key] = copied
	return nil
}

func (c *copier) newest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written
}
