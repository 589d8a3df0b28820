package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// repeatable is how long an addition may be sent again at most. The registry recognises it
// for two minutes.
const repeatable = 90 * time.Second

// Counter is a number of any size that many add to. What was never added to is 0.
type Counter struct{ object }

// Counter returns the counter of that name. It asks nobody.
func (c *Client) Counter(namespace, name string) *Counter {
	return &Counter{c.object(bus.KindCounter, namespace, name)}
}

// Add adds delta, which may be negative or 0, and returns the value that it made. It is done
// once, however often it had to be sent. ErrUnknownOutcome where it may have been done;
// then [Counter.AddOnce] may be called again within two minutes, Add may not.
func (n *Counter) Add(ctx context.Context, delta int64) (*big.Int, error) {
	value, _, err := n.AddOnce(ctx, rand.Text(), delta)
	return value, err
}

// AddOnce is [Counter.Add] of what the caller names, in at most 64 characters: another
// AddOnce of the same counter, id and delta within two minutes adds nothing, whichever
// process sends it, and unless the registry is moved to another store between them. repeated
// says that it was such a one.
func (n *Counter) AddOnce(ctx context.Context, id string, delta int64) (value *big.Int, repeated bool, err error) {
	if err := n.name.Validate(); err != nil {
		return nil, false, err
	}
	if id == "" || len(id) > bus.MaxRequestID {
		return nil, false, backend.Invalid("id", "is %d characters long, 1 to %d are allowed", len(id), bus.MaxRequestID)
	}
	ctx, end, err := n.c.begin(ctx, min(n.c.writeTimeout, repeatable))
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", n, err)
	}
	defer end()
	r := &request{subject: n.subject(bus.VerbAdd), id: id, idempotent: true, ofEpoch: true}
	if r.body, err = encode(bus.AddRequest{Delta: strconv.FormatInt(delta, 10)}); err != nil {
		return nil, false, err
	}
	a := n.c.write(ctx, r)
	if a.err != nil {
		return nil, false, a.err
	}
	var reply bus.AddReply
	if err := decode(a.reply, &reply); err != nil {
		return nil, false, n.c.unread(r, err)
	}
	if value, err = decimal(reply.Value); err != nil {
		return nil, false, n.c.unread(r, err)
	}
	return value, reply.Repeated, nil
}

// Get returns the value, as the leader of the counters' stream knows it: one that was just cut
// off and replaced may yet answer with an old one. With [Linearizable] it is the newest, which
// costs as much as an addition.
func (n *Counter) Get(ctx context.Context, read Read) (*big.Int, Stamp, error) {
	if err := cmp.Or(n.name.Validate(), read.Validate()); err != nil {
		return nil, Stamp{}, err
	}
	var reply bus.CounterReply
	stamp, err := n.get(ctx, read, plainly, &reply)
	if err != nil {
		return nil, stamp, err
	}
	value, err := decimal(reply.Value)
	if err != nil {
		return nil, Stamp{}, n.c.garbled(&request{subject: n.subject(bus.VerbGet)}, err)
	}
	return value, stamp, nil
}

func decimal(text string) (*big.Int, error) {
	value, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("value %.40q is not a whole number", text)
	}
	return value, nil
}
