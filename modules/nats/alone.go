package nats

import (
	"fmt"
	"strings"
)

// What a server of a cluster says when another one does not let it in, and what an operator
// can do about it.
var refusals = []struct{ said, means string }{
	{"Route Error 'Authorization Violation'", "another node refuses this one's secret; all need the same in --cluster-secret-file or $ROOST_CLUSTER_SECRET"},
	{"TLS route handshake error", "certificates do not agree; see --cluster-tls-ca, --cluster-tls-cert and --cluster-tls-key of all nodes"},
}

// noRoute is said where nothing is known of why nobody is there.
const noRoute = "look whether they run and reach each other at --cluster-routes, and whether all have the same secret, and certificates or none"

// refusalIn returns the meaning of what a server said, and its details; "" if that is no
// refusal.
func refusalIn(text string) (means, detail string) {
	for _, r := range refusals {
		if _, detail, is := strings.Cut(text, r.said); is {
			return r.means, detail
		}
	}
	return "", ""
}

// Explain adds to an error, of a node that found no majority, why it has no route to any
// other node. Every other error is returned as it is.
func (l *Link) Explain(err error) error {
	if err == nil || l.embedded == nil || !l.embedded.clustered || l.embedded.server.NumRoutes() > 0 {
		return err
	}
	why := l.embedded.log.refusal()
	if why == "" {
		why = noRoute
	}
	return fmt.Errorf("%w; no other node is connected: %s", err, why)
}
