package natstest

import (
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Linked is a cluster every two servers of which are joined by links that can be cut.
type Linked struct {
	*Cluster

	links map[[2]string]*Proxy // from the server that connects to the one that listens
}

// Nowhere is a port that nobody listens on: servers tell each other of it, so that no
// route is made beside the links.
const Nowhere = "127.0.0.1:1"

// A server that does not answer so many pings on a link is given up.
const (
	linkPing  = 2 * time.Second
	linkPings = 2
)

// StartLinked is [StartCluster] for servers that reach each other through links.
func StartLinked(tb testing.TB, n int, change ...func(*server.Options)) *Linked {
	tb.Helper()
	l := &Linked{links: map[[2]string]*Proxy{}}
	l.Cluster = StartCluster(tb, n, append([]func(*server.Options){func(o *server.Options) {
		own := strconv.Itoa(o.Cluster.Port)
		var routes []*url.URL
		for i, to := range o.Routes {
			if to.Port() == own {
				continue
			}
			link := Through(tb, to.String())
			l.links[[2]string{o.ServerName, clusterName(i)}] = link
			through, err := url.Parse(link.URL())
			if err != nil {
				tb.Fatalf("link to %s: %v", to, err)
			}
			through.Scheme = "nats-route"
			routes = append(routes, through)
		}
		o.Routes = routes
		o.Cluster.Advertise = Nowhere
		o.Cluster.PingInterval, o.Cluster.MaxPingsOut = linkPing, linkPings
	}}, change...)...)
	return l
}

// CutOff cuts all links of a server, in both directions. Nobody is told, and the clients
// of the server stay connected.
func (l *Linked) CutOff(tb testing.TB, node *Server) {
	tb.Helper()
	for _, link := range l.linksOf(node) {
		link.Cut(tb)
	}
}

// Rejoin ends CutOff.
func (l *Linked) Rejoin(tb testing.TB, node *Server) {
	tb.Helper()
	for _, link := range l.linksOf(node) {
		link.Heal(tb)
	}
}

func (l *Linked) linksOf(node *Server) []*Proxy {
	var links []*Proxy
	for ends, link := range l.links {
		if slices.Contains(ends[:], node.options.ServerName) {
			links = append(links, link)
		}
	}
	return links
}
