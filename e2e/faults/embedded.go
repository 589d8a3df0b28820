package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

// embedded is nodes that form a cluster of the NATS servers inside them.
type embedded struct {
	nodes   []Member
	servers []Server
	urls    []string
}

// Embedded starts so many nodes that form a cluster, in processes of their own, and does not
// wait for them. Where AsNode is set the test binary calls NodeMain.
func Embedded(tb testing.TB, nodes int) Deployment {
	tb.Helper()
	ports := natstest.FreePorts(tb, 3*nodes)
	at := func(i int) string { return fmt.Sprint("127.0.0.1:", ports[i]) }
	all := make([]*node, nodes)
	for i := range all {
		all[i] = newNode(tb, fmt.Sprint("n", i))
		all[i].settings.Admin = at(2*nodes + i)
	}
	routes := make([][]string, nodes)
	for i, from := range all {
		for j, to := range all {
			if i != j {
				link := natstest.Through(tb, "nats://"+at(nodes+j))
				natstest.Join(&from.Links, &to.Links, link)
				routes[i] = append(routes[i], link.Address())
			}
		}
	}
	d := &embedded{}
	for i, n := range all {
		d.nodes, d.servers, d.urls = append(d.nodes, n), append(d.servers, storing{n}), append(d.urls, "nats://"+at(i))
		n.run(tb, func(c *config.Server) {
			c.Listen, c.ClusterListen, c.ClusterRoutes = at(i), at(nodes+i), routes[i]
			c.ClusterAdvertise, c.ClusterSecret = natstest.Nowhere, "a secret of this cluster"
		})
	}
	return d
}

func (d *embedded) Prefix() string    { return prefix }
func (d *embedded) URLs() []string    { return d.urls }
func (d *embedded) Nodes() []Member   { return d.nodes }
func (d *embedded) Servers() []Server { return d.servers }

// StoodStill implements Deployment.
func (d *embedded) StoodStill() time.Duration { return stoodStill(d.nodes) }

func (d *embedded) Revive(tb testing.TB) {
	tb.Helper()
	revive(tb, d.nodes)
}

// JetStream implements Deployment. It asks one node after another.
func (d *embedded) JetStream(ctx context.Context, subject string) (reply []byte, err error) {
	for _, n := range d.nodes {
		var problem error
		if reply, problem = askAt(ctx, n.(*node).settings.Admin, subject); problem == nil {
			return reply, nil
		}
		err = errors.Join(err, fmt.Errorf("%s: %w", n.Name(), problem))
	}
	return nil, err
}

// askPatience is how long one node may take to ask JetStream.
const askPatience = time.Second

func askAt(ctx context.Context, admin, subject string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/"+subject, nil)
	if err != nil {
		return nil, err
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = errors.New(string(text))
	}
	return text, err
}

// storing is a node that is a Server, too.
type storing struct{ *node }

// StoreDir implements Server: without what the node itself remembers.
func (s storing) StoreDir() string { return filepath.Join(s.dir, "jetstream") }

func (s storing) FillDisk(tb testing.TB) {
	tb.Helper()
	s.order(tb, natstest.FillDisk)
}

func (s storing) FreeDisk(tb testing.TB) {
	tb.Helper()
	s.order(tb, natstest.FreeDisk)
}
