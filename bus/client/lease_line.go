package client

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// line is what leases must know of the connection. *nats.Conn is one.
//
// While it is being restored it answers as late as a server that is dialled does, so it is
// never asked under a lock.
type line interface {
	ConnectedServerId() string
	GetClientID() (uint64, error)
	StatusChanged(statuses ...nats.Status) chan nats.Status
	RemoveStatusListener(ch chan nats.Status)
}

// whereabouts returns the connection as its server numbers it, the zero Connection where
// that is not known, and whether there is one.
func (c *Client) whereabouts() (bus.Connection, bool) {
	if c.link.Status() != nats.CONNECTED {
		return bus.Connection{}, false
	}
	id, err := c.line.GetClientID()
	conn := bus.Connection{ServerID: c.line.ConnectedServerId(), ClientID: id}
	if err != nil || id == 0 || conn.ServerID == "" {
		return bus.Connection{}, true
	}
	return conn, true
}

// told is how a request tells of conn.
func told(conn bus.Connection) *bus.Connection {
	if conn == (bus.Connection{}) {
		return nil
	}
	return &conn
}

// hearken has the keeping told of what becomes of the connection, until the returned
// function is called. Handlers of the connection's user stay as they are.
func (c *Client) hearken() (deaf func()) {
	events := c.line.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CONNECTED, nats.CLOSED)
	var listening sync.WaitGroup
	listening.Go(func() {
		c.look() // what happened before events came
		for status := range events {
			if status == nats.CONNECTED {
				c.look()
			} else {
				c.leases.moved(time.Now(), func(*Lease) bool { return true })
			}
		}
	})
	return func() {
		c.line.RemoveStatusListener(events)
		listening.Wait()
	}
}

// look takes note of leases that were not kept alive over the connection that there is now.
func (c *Client) look() {
	now := time.Now()
	conn, connected := c.whereabouts()
	c.leases.moved(now, func(l *Lease) bool { return !connected || l.conn != conn })
}

// moved takes note that the connection of those leases that gone reports was lost by now.
// What was sent over it is not waited for, and they are kept alive at once.
func (k *keeping) moved(now time.Time, gone func(*Lease) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var some bool
	for _, l := range k.held {
		if gone(l) {
			some, l.next = true, now
			l.lose(now)
		}
	}
	if some {
		k.shake()
		if k.stop != nil {
			k.stop()
		}
	}
	k.poke()
}

// lose takes note that l's connection was lost by now. The caller holds the lock.
func (l *Lease) lose(now time.Time) {
	if l.lost.IsZero() {
		l.lost = now
	}
}

// shake tells those who wait for a deadline that it may have moved back, and makes void for
// this what is under way. The caller holds the lock.
func (k *keeping) shake() {
	k.losses++
	close(k.shaken)
	k.shaken = make(chan struct{})
}
