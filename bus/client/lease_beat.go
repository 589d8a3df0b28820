package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// beat sends one keepalive for leases, which may wait for its reply as long as wait.
// ErrClosed when there is no sending any more.
func (c *Client) beat(ctx context.Context, leases []*Lease, wait time.Duration) error {
	k := &c.leases
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	losses := k.sending(stop)
	defer k.sending(nil)
	conn, _ := c.whereabouts()
	body, telling := k.message(leases, conn)
	text, err := encode(body)
	if err != nil {
		return err
	}
	r := &request{subject: c.subjects.LeaseKeepalive(), body: text, quiet: true}
	a := c.try(ctx, r, wait, false)
	var reply bus.KeepalivesReply // a KeepaliveReply has nothing else that matters
	switch {
	case a.fate == ended:
		return backend.ErrClosed
	case len(leases) == 1 && errors.Is(a.err, backend.ErrLeaseExpired):
		_ = k.end(leases[0], a.err)
		return nil
	case a.err != nil:
		return a.err
	}
	if err := decode(a.reply, &reply); err != nil {
		return err
	}
	k.acknowledged(leases, &ack{
		sent: a.sent, conn: conn, losses: losses, telling: telling,
		term: reply.Term, epoch: a.stamp.Epoch, expired: reply.Expired,
	})
	return nil
}

// sending takes note that a sending begins, which stop ends, or with nil that none is under
// way. It returns the number of connections lost so far.
func (k *keeping) sending(stop context.CancelFunc) (losses uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stop = stop
	return k.losses
}

// message returns the keepalive of leases over conn, and whether it tells of conn.
func (k *keeping) message(leases []*Lease, conn bus.Connection) (body bus.KeepaliveRequest, telling bool) {
	k.mu.Lock()
	for _, l := range leases {
		telling = telling || l.told != conn
	}
	k.mu.Unlock()
	if telling {
		body.Connection = told(conn)
	}
	if len(leases) == 1 {
		body.Lease = leases[0].secret
		return body, telling
	}
	for _, l := range leases {
		body.Leases = append(body.Leases, l.secret)
	}
	return body, telling
}

// ack is the acknowledgement of a keepalive.
type ack struct {
	sent    time.Time
	conn    bus.Connection // over which it was sent
	losses  uint64         // when it was sent
	telling bool           // it told of conn
	term    uint64
	epoch   backend.Epoch
	expired []string
}

// acknowledged takes in what the reply to a keepalive of leases says.
func (k *keeping) acknowledged(leases []*Lease, a *ack) {
	k.mu.Lock()
	defer k.mu.Unlock()
	stretch := 0.9 + rand.Float64()/5 // the same for all, which then stay together
	for _, l := range leases {
		switch {
		case l.err != nil:
		case slices.Contains(a.expired, l.owner):
			k.finish(l, fmt.Errorf("%w: the registry has ended it", backend.ErrLeaseExpired))
		default:
			l.acknowledged(a, stretch)
			if a.losses == k.losses {
				l.lost = time.Time{}
			}
		}
	}
}

// acknowledged takes in that l was kept alive, as it is to be again when a third of its TTL
// has passed, more or less by stretch. The caller holds the lock.
func (l *Lease) acknowledged(a *ack, stretch float64) {
	if l.conn != a.conn || l.epoch != 0 && a.epoch > l.epoch {
		select {
		case l.checks <- struct{}{}:
		default:
		}
	}
	l.acked, l.conn, l.epoch = a.sent, a.conn, max(l.epoch, a.epoch)
	l.heard++
	l.next = a.sent.Add(time.Duration(float64(l.ttl/3) * stretch))
	switch {
	case a.telling, a.conn == bus.Connection{}: // or there is nothing to tell
		l.told, l.term = a.conn, a.term
	case l.term != a.term: // this keeper knows of no connection
		l.told, l.next = bus.Connection{}, time.Now()
	}
}
