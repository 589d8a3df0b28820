package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/kvstore/natskv"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
)

// cluster is where the registry is kept as the wire shows it.
type cluster struct {
	config     config.Server
	link       *nats.Link
	replicator *natskv.Replicator
}

var _ server.Cluster = (*cluster)(nil)

// Remove implements server.Cluster.
func (k *cluster) Remove(ctx context.Context, node string) (bool, error) {
	return k.link.RemovePeer(ctx, node)
}

// Health implements server.Cluster.
func (k *cluster) Health() (h server.ClusterHealth) {
	state := k.replicator.State()
	if state.At.IsZero() && !k.config.Kept() {
		return h // nothing is kept
	}
	c := &bus.Cluster{Server: k.link.Writing.ConnectedServerName(), Embedded: k.config.Embedded(), Replicas: state.Wanted, Streams: []bus.Stream{}}
	for i := range state.Streams {
		s := &state.Streams[i]
		c.Name = s.Cluster
		c.Streams = append(c.Streams, streamOf(s))
		problem := s.Problem(state.Wanted)
		switch {
		case problem == "":
		case k.config.Clustered() || k.config.Replicas != 0 || s.Count >= state.Wanted || s.Leader == "":
			h.Problems = append(h.Problems, problem)
		default:
			h.Notes = append(h.Notes, problem) // nobody has asked for more
		}
	}
	if age := time.Since(state.At); !state.At.IsZero() && age > oldCluster {
		h.Notes = append(h.Notes, fmt.Sprintf("where the registry is kept was last seen %v ago", age.Round(time.Second)))
	}
	for _, peer := range k.link.Peers() {
		c.Peers = append(c.Peers, bus.Peer(peer))
		if peer.Offline {
			h.Problems = append(h.Problems, "node "+peer.Name+" is away")
		}
	}
	h.Cluster = c
	return h
}

// oldCluster is when what is known of replicas is worth a word for its age.
const oldCluster = 15 * time.Second

func streamOf(s *natskv.Replicas) bus.Stream {
	known := bus.Stream{Name: s.Stream, Replicas: s.Count, Leader: s.Leader}
	for _, o := range s.Others {
		known.Others = append(known.Others, bus.Peer{Name: o.Server, Current: o.Current, Offline: o.Offline, Lag: o.Lag})
	}
	return known
}
