package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

// external is NATS servers, and nodes that use them, in processes of their own.
type external struct {
	nodes     []Member
	servers   []Server
	urls      []string
	admin     *nats.Conn
	elsewhere []string
}

// prefix is that of registries under test.
const prefix = "faults.v1"

// External starts so many NATS servers and so many nodes that use them, in processes of
// their own, and does not wait for them. The test binary calls natstest.ServerMain and,
// where AsNode is set, NodeMain.
func External(tb testing.TB, servers, nodes int) Deployment {
	tb.Helper()
	d := &external{}
	for _, p := range natstest.StartLinkedProcesses(tb, servers) {
		d.servers, d.urls = append(d.servers, natsServer{p}), append(d.urls, p.URL())
	}
	d.admin = dial(tb, d.urls)
	for i := range nodes {
		n := newNode(tb, fmt.Sprint("n", i))
		var through []string
		for _, url := range d.urls {
			link := natstest.Through(tb, url)
			natstest.Join(&n.Links, nil, link)
			through = append(through, link.URL())
		}
		n.run(tb, func(c *config.Server) { c.URL, c.Replicas = strings.Join(through, ","), min(servers, 3) })
		d.nodes = append(d.nodes, n)
	}
	return d
}

// Beside starts another NATS of so many servers beside d.
func Beside(tb testing.TB, d Deployment, servers int) Spacious {
	tb.Helper()
	e := d.(*external)
	for _, p := range natstest.StartLinkedProcesses(tb, servers) {
		e.elsewhere = append(e.elsewhere, p.URL())
	}
	return e
}

func (d *external) Prefix() string    { return prefix }
func (d *external) URLs() []string    { return d.urls }
func (d *external) Nodes() []Member   { return d.nodes }
func (d *external) Servers() []Server { return d.servers }

// StoodStill implements Deployment.
func (d *external) StoodStill() time.Duration { return stoodStill(d.nodes) }

// Elsewhere implements Spacious.
func (d *external) Elsewhere() []string { return d.elsewhere }

func (d *external) Revive(tb testing.TB) {
	tb.Helper()
	revive(tb, d.nodes)
}

// JetStream implements Deployment.
func (d *external) JetStream(ctx context.Context, subject string) ([]byte, error) {
	reply, err := d.admin.RequestWithContext(ctx, subject, nil)
	if err != nil {
		return nil, err
	}
	return reply.Data, nil
}

// natsServer is a Server.
type natsServer struct{ *natstest.LinkedProcess }

func (s natsServer) Name() string    { return s.Process.Name }
func (s natsServer) Kill(testing.TB) { s.Process.Kill() }
