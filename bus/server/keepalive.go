package server

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// keepalive is what a request to keep leases alive says.
type keepalive struct {
	owners     [][]byte // parts of names
	names      []byte
	many       bool // they are told apart in the reply
	connection clock.Connection
	server     string // the one that was told last: there are few
}

// reset makes k that of nobody.
func (k *keepalive) reset() {
	k.owners, k.names, k.many, k.connection = k.owners[:0], k.names[:0], false, clock.Connection{}
}

// add adds the owner of secret. It allocates nothing where k was used before.
func (k *keepalive) add(secret []byte) {
	from := len(k.names)
	k.names = bus.AppendOwner(k.names, secret)
	k.owners = append(k.owners, k.names[from:])
}

// texts returns the owners for whoever keeps them.
func (k *keepalive) texts() []string {
	owners := make([]string, len(k.owners))
	for i, owner := range k.owners {
		owners[i] = string(owner)
	}
	return owners
}

// parse reads a request's body.
func (k *keepalive) parse(body []byte) error {
	if k.scan(body) {
		return nil
	}
	var q bus.KeepaliveRequest
	if err := decode(body, &q); err != nil {
		return err
	}
	if err := q.Validate(); err != nil {
		return err
	}
	k.reset()
	k.many, k.connection = q.Leases != nil, connection(q.Connection)
	if !k.many {
		k.add([]byte(q.Lease))
	}
	for _, secret := range q.Leases {
		k.add([]byte(secret))
	}
	return nil
}

// keepalivePromptly answers where all leases are known to live.
func (h *hours) keepalivePromptly(_ context.Context, r *request) (answer, error) {
	if err := h.check(r); err != nil {
		return answer{}, err
	}
	k := &r.keepalive
	if err := k.parse(r.data); err != nil {
		return answer{}, err
	}
	beat, known := h.clock.TouchAll(k.owners, k.connection)
	if !known {
		return answer{}, errMayWait
	}
	return r.kept(beat, nil)
}

// keepalive answers what could not be answered promptly. The body has been read.
func (h *hours) keepalive(ctx context.Context, r *request) (answer, error) {
	ctx, end := h.deadline(ctx, r)
	defer end()
	beat, expired, err := h.clock.Keepalive(ctx, r.keepalive.texts(), r.keepalive.connection)
	if err != nil {
		return answer{}, err
	}
	return r.kept(beat, expired)
}

// kept is the answer to a keepalive. expired are indices of r.keepalive.owners.
func (r *request) kept(beat clock.Beat, expired []int) (answer, error) {
	k := &r.keepalive
	switch {
	case !k.many && len(expired) > 0:
		return answer{}, backend.ErrLeaseExpired
	case !k.many:
		r.buf = append(r.buf[:0], `{"ttl_ms":`...)
		r.buf = strconv.AppendInt(r.buf, beat.TTL.Milliseconds(), 10)
	case len(expired) == 0:
		r.buf = append(r.buf[:0], `{"expired":[]`...)
	default:
		owners := make([]string, len(expired))
		for i, at := range expired {
			owners[i] = string(k.owners[at])
		}
		slices.Sort(owners)
		text, err := json.Marshal(slices.Compact(owners))
		if err != nil {
			return answer{}, err
		}
		r.buf = append(append(r.buf[:0], `{"expired":`...), text...)
	}
	r.buf = append(r.buf, `,"term":`...)
	r.buf = append(strconv.AppendUint(r.buf, beat.Term, 10), '}')
	return answer{body: r.buf}, nil
}
