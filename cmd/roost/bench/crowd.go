package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// shares is how many parts a crowd has, one of which is its group.
const shares = 10

// crowd is what copies are made of: many registrations, a share of which is a group, a
// namespace of its own.
type crowd struct {
	namespace, group string
	// members are in an order of chance, and in memory of their own.
	members []member
}

// member is a registration as the registry showed it.
type member struct {
	key      backend.Key
	revision backend.Revision
}

// crowd registers the crowd, unless it is there, and has the registry show it.
func (w *World) crowd(ctx context.Context) (*crowd, error) {
	if w.shared != nil {
		return w.shared, nil
	}
	c := &crowd{namespace: w.scratch, group: w.scratch + "-group"}
	inGroup := w.c.Copied / shares
	err := errors.Join(w.populate(ctx, w.c.Copied-inGroup), w.populateAs(ctx, c.group, inGroup))
	if err != nil {
		return nil, err
	}
	registry, err := w.registry(0)
	if err != nil {
		return nil, err
	}
	for found, err := range registry.All(ctx, client.Query{}) {
		if err != nil {
			return nil, err
		}
		if !c.owns(found.Namespace) {
			continue // it was there before
		}
		if text := string(found.AppendJSON(nil)); !strings.Contains(text, content) {
			return nil, fmt.Errorf("a list shows %s as %s", found.Key, text)
		}
		c.members = append(c.members, member{key: ownMemory(found.Key), revision: found.Revision})
	}
	if len(c.members) != w.c.Copied {
		return nil, fmt.Errorf("%d instances were registered and a list shows %d", w.c.Copied, len(c.members))
	}
	rand.Shuffle(len(c.members), func(i, j int) { c.members[i], c.members[j] = c.members[j], c.members[i] })
	w.shared = c
	return c, nil
}

// owns reports whether a namespace is the crowd's.
func (c *crowd) owns(namespace string) bool { return namespace == c.namespace || namespace == c.group }

// mark is what the text of each of the crowd contains, once.
func (c *crowd) mark() []byte { return []byte(`"namespace":"` + c.namespace) }

// of returns how many of the crowd a namespace has, and the sum of their revisions.
func (c *crowd) of(namespace string) (sum tally) {
	for _, m := range c.members {
		if m.key.Namespace == namespace {
			sum.add(m.revision)
		}
	}
	return sum
}

// tally tells registrations from others: how many they are, and the sum of their
// revisions.
type tally struct {
	count     int
	revisions backend.Revision
}

func (t *tally) add(r backend.Revision) {
	t.count++
	t.revisions += r
}

// is reports that t is not what it should be.
func (t tally) is(want tally) error {
	if t != want {
		return fmt.Errorf("%d registrations with revisions that come to %d; want %d with %d", t.count, t.revisions, want.count, want.revisions)
	}
	return nil
}

// registry returns a client of the registry over the connection of a worker. It need not
// be closed.
func (w *World) registry(worker int) (*client.Client, error) {
	return client.New(w.client(worker), client.WithPrefix(w.c.Prefix), client.WithReadTimeout(w.c.Timeout))
}

func ownMemory(k backend.Key) backend.Key {
	return backend.Key{
		Namespace: strings.Clone(k.Namespace), Service: strings.Clone(k.Service), Instance: strings.Clone(k.Instance),
	}
}
