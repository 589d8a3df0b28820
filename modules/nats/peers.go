package nats

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/roostbus/roost/backend"
)

// Peer is a server of the embedded servers' cluster, which has the name of its node.
type Peer struct {
	Name    string
	Current bool
	Offline bool
	Lag     uint64 // what it is yet to hear of the cluster's decisions
}

// Peers returns the servers of the cluster, this one included, by their names; none where
// the embedded server is alone, or NATS is elsewhere. Offline are those that this one has no
// route to.
func (l *Link) Peers() []Peer {
	if l.embedded == nil || !l.embedded.clustered {
		return nil
	}
	info, err := l.embedded.server.Jsz(&server.JSzOptions{})
	if err != nil || info.Meta == nil {
		return nil
	}
	self := l.embedded.server.Name()
	there := map[string]bool{self: true}
	routes, err := l.embedded.server.Routez(&server.RoutezOptions{})
	if err != nil {
		return nil
	}
	for _, r := range routes.Routes {
		there[r.RemoteName] = true
	}
	peers := []Peer{{Name: self, Current: true}}
	if leader := info.Meta.Leader; leader != "" && leader != self {
		peers = append(peers, Peer{Name: leader, Current: there[leader], Offline: !there[leader]})
	}
	for _, p := range info.Meta.Replicas {
		if p.Name == self || p.Name == info.Meta.Leader || strings.Contains(p.Name, " ") {
			continue // of one that has not been heard yet there is a text instead of its name
		}
		// Who does not lead hears nothing of how far the others are, and nobody soon of one
		// that was killed.
		away, unknown := !there[p.Name], info.Meta.Leader != self
		peers = append(peers, Peer{Name: p.Name, Current: !away && (p.Current || unknown), Offline: away, Lag: p.Lag})
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return peers
}

// removePeer is where a server of the cluster is asked to forget another one.
const removePeer = "$JS.API.SERVER.REMOVE"

// RemovePeer has the cluster forget a server that is gone for good: it counts no more
// towards a majority, and what it kept is given to others. It returns false if there is no
// server of that name. backend.ErrInvalid of one that is there, since it would be of no use
// afterwards.
func (l *Link) RemovePeer(ctx context.Context, name string) (bool, error) {
	if l.embedded == nil || !l.embedded.clustered {
		return false, backend.Invalid("node", "NATS is not inside the nodes: remove its servers with the nats command line")
	}
	peers := l.Peers()
	known := slices.IndexFunc(peers, func(p Peer) bool { return p.Name == name })
	switch {
	case known < 0:
		return false, nil
	case !peers[known].Offline:
		return false, backend.Invalid("node", "%s is there: stop it first", name)
	}
	question, err := json.Marshal(server.JSApiMetaServerRemoveRequest{Server: name})
	if err != nil {
		return false, err
	}
	reply, err := l.ear.nc.RequestWithContext(ctx, removePeer, question)
	if err != nil {
		return false, fmt.Errorf("%w: ask the cluster's leader to remove %s: %w", backend.ErrUnavailable, name, err)
	}
	var answer server.JSApiMetaServerRemoveResponse
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return false, fmt.Errorf("%w: read the answer of the cluster's leader: %w", backend.ErrUnavailable, err)
	}
	if answer.Error != nil {
		return false, fmt.Errorf("%w: remove %s: %s", backend.ErrUnavailable, name, answer.Error.Description)
	}
	return answer.Success, nil
}
