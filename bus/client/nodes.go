package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// lastReport is for how long after a report another one is waited for, where nobody says
// that there is one to come.
const lastReport = 500 * time.Millisecond

// removePatience is how long the nodes of a cluster may take to agree on who is one.
const removePatience = 5 * time.Second

// Reports asks every node how it is, and returns what they say by their names. A node that
// others speak of is waited for until ctx ends or the read timeout has passed, and is missing
// if it says nothing; so a cluster of which a node is stopped takes that long.
func (c *Client) Reports(ctx context.Context) ([]*bus.HealthReply, error) {
	ctx, end, err := c.begin(ctx, c.readTimeout)
	if err != nil {
		return nil, fmt.Errorf("health of all: %w", err)
	}
	defer end()
	heard := make(chan *nats.Msg, 64)
	inbox := c.nc.NewInbox()
	sub, err := c.nc.ChanSubscribe(inbox, heard)
	if err != nil {
		return nil, fmt.Errorf("health of all: %w: %w", backend.ErrUnavailable, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is gone, and with it the subscription
	if err := c.nc.PublishRequest(c.subjects.HealthOfAll(), inbox, []byte("{}")); err != nil {
		return nil, fmt.Errorf("health of all: %w: %w", backend.ErrUnavailable, err)
	}
	g := gathering{c: c}
	return g.gather(ctx, heard)
}

// gathering is what nodes have said of themselves and each other.
type gathering struct {
	c       *Client
	reports []*bus.HealthReply
}

func (g *gathering) gather(ctx context.Context, heard <-chan *nats.Msg) ([]*bus.HealthReply, error) {
	last := time.NewTimer(time.Hour)
	defer last.Stop()
	for {
		select {
		case m := <-heard:
			if m.Header.Get("Status") == "503" {
				return nil, fmt.Errorf("health of all: %w: no registry answers under prefix %s", backend.ErrUnavailable, g.c.subjects.Prefix())
			}
			if err := g.take(m); err != nil {
				return nil, err
			}
			last.Reset(lastReport)
			if g.missing() {
				last.Reset(time.Hour)
			}
			continue
		case <-last.C:
		case <-ctx.Done():
		}
		if len(g.reports) == 0 {
			return nil, fmt.Errorf("health of all: %w: nobody answers", backend.ErrUnavailable)
		}
		slices.SortFunc(g.reports, func(a, b *bus.HealthReply) int { return compareNames(a.Node, b.Node) })
		return g.reports, nil
	}
}

func compareNames(a, b string) int {
	if len(a) != len(b) { // n2 before n10
		return len(a) - len(b)
	}
	return slices.Compare([]byte(a), []byte(b))
}

func (g *gathering) take(m *nats.Msg) error {
	if number := m.Header.Get(bus.HeaderErrorCode); number != "" {
		return bus.ParseError(number, m.Header.Get(bus.HeaderError), m.Data)
	}
	var report bus.HealthReply
	if err := json.Unmarshal(m.Data, &report); err != nil {
		return fmt.Errorf("health of all: %w: %w", backend.ErrUnavailable, err)
	}
	if g.c.replies != nil {
		g.c.replies(g.c.subjects.HealthOfAll(), m.Data)
	}
	g.reports = append(g.reports, &report)
	return nil
}

// missing reports whether a node that is there by what others say has said nothing.
func (g *gathering) missing() bool {
	for _, r := range g.reports {
		if r.Cluster == nil {
			continue
		}
		for _, peer := range r.Cluster.Peers {
			said := slices.ContainsFunc(g.reports, func(of *bus.HealthReply) bool { return of.Node == peer.Name })
			if !peer.Offline && !said {
				return true
			}
		}
	}
	return false
}

// RemoveNode has a cluster forget a node that is gone for good, and returns false if it
// knows none of that name. ErrInvalid of a node that is there.
func (c *Client) RemoveNode(ctx context.Context, name string) (bool, error) {
	ctx, end, err := c.begin(ctx, c.writeTimeout)
	if err != nil {
		return false, fmt.Errorf("remove node %s: %w", name, err)
	}
	defer end()
	body, err := json.Marshal(bus.RemoveNodeRequest{Node: name})
	if err != nil {
		return false, err
	}
	r := &request{subject: c.subjects.RemoveNode(), body: body, idempotent: true, patience: removePatience}
	a := c.write(ctx, r)
	if a.err != nil {
		return false, a.err
	}
	var reply bus.RemoveNodeReply
	if err := decode(a.reply, &reply); err != nil {
		return false, c.garbled(r, err)
	}
	return reply.Removed, nil
}
