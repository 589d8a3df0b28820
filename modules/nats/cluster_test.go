package nats_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
)

// freeAddress returns an address that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// nodesOf are the settings of n nodes of one cluster, with JetStream.
func nodesOf(t *testing.T, n int, change func(*config.Server)) []config.Server {
	t.Helper()
	nodes := make([]config.Server, n)
	var routes []string
	for i := range nodes {
		c := config.DefaultServer()
		c.Node, c.Listen, c.StoreDir, c.ClusterListen = fmt.Sprint("n", i+1), "127.0.0.1:0", t.TempDir(), freeAddress(t)
		routes = append(routes, c.ClusterListen)
		nodes[i] = c
	}
	for i := range nodes {
		nodes[i].ClusterRoutes = routes
		change(&nodes[i])
		if err := nodes[i].Validate(); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

func openAll(t *testing.T, nodes []config.Server) (links []*nats.Link) {
	t.Helper()
	for _, c := range nodes {
		links = append(links, mustOpen(t, c))
	}
	return links
}

// awaitPeers waits until every link knows of n servers that are there.
func awaitPeers(t *testing.T, links []*nats.Link, n int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, l := range links {
		for there := 0; there != n; {
			there = 0
			for _, p := range l.Peers() {
				if !p.Offline {
					there++
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d servers are known: %+v", there, n, l.Peers())
			}
			time.Sleep(10 * time.Millisecond) // it is told by no event
		}
	}
}

// What a node hears of closed connections is of all nodes.
func TestNodesWithCertificatesFormAClusterAndHearOfEachOthersClients(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	links := openAll(t, nodesOf(t, 2, func(c *config.Server) {
		c.ClusterCA = authority.file
		c.ClusterCert, c.ClusterKey = authority.issue(t, c.Node)
	}))
	awaitPeers(t, links, 2)
	heard := listen(t, links[0])
	closes(t, connect(t, links[1].ClientURL), heard)
}

func TestANodeWithAnotherAuthorityOrSecretIsAlone(t *testing.T) {
	t.Parallel()
	one, other := newAuthority(t), newAuthority(t)
	for name, change := range map[string]func(*config.Server){
		"authority": func(c *config.Server) {
			of := map[bool]*authority{true: one, false: other}[c.Node == "n1"]
			c.ClusterCA = of.file
			c.ClusterCert, c.ClusterKey = of.issue(t, c.Node)
		},
		"secret": func(c *config.Server) { c.ClusterSecret = config.Secret("a long enough secret of " + c.Node) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			links := openAll(t, nodesOf(t, 2, change))
			heard := listen(t, links[0])
			stranger := connect(t, links[1].ClientURL)
			stranger.Close()
			closes(t, connect(t, links[0].ClientURL), heard) // and nothing of the stranger before
		})
	}
}

func TestFilesOfARouteThatDoNotServeAreNamed(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	for want, change := range map[string]func(*config.Server){
		"--cluster-tls-ca":      func(c *config.Server) { c.ClusterCA = "absent.pem" },
		"holds no certificate":  func(c *config.Server) { c.ClusterCA = c.ClusterKey },
		"--cluster-tls-cert":    func(c *config.Server) { c.ClusterCert = "absent.pem" },
		"--cluster-secret-file": func(c *config.Server) { c.ClusterSecretFile = "absent" },
		"--cluster-listen":      func(c *config.Server) { c.ClusterListen = "256.0.0.1:1" },
	} {
		nodes := nodesOf(t, 1, func(c *config.Server) {
			c.ClusterCA = authority.file
			c.ClusterCert, c.ClusterKey = authority.issue(t, c.Node)
			change(c)
		})
		refuses(t, nodes[0], want)
	}
}

// Clients of the embedded servers command no server of the cluster.
func TestAClientCannotRemoveANodeByItself(t *testing.T) {
	t.Parallel()
	link := mustOpen(t, nodesOf(t, 1, func(*config.Server) {})[0])
	c := connect(t, link.ClientURL)
	if _, err := c.Request("$JS.API.SERVER.REMOVE", []byte(`{"peer":"n1"}`), 500*time.Millisecond); err == nil {
		t.Error("a client was answered")
	}
	if err := c.LastError(); err == nil {
		t.Errorf("LastError() = %v; want a violation of permissions", err)
	}
	_, err := link.RemovePeer(t.Context(), "n1")
	if err == nil {
		t.Error("a node that is there was removed")
	}
}
