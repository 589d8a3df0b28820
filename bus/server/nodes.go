package server

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Cluster is where the registry is kept, and its nodes. Methods are safe for concurrent use.
type Cluster interface {
	// Health must not block.
	Health() ClusterHealth
	// Remove has a node that is gone for good forgotten, and returns false if there is none
	// of that name. ErrInvalid of one that is not gone, or where nodes are no servers of NATS.
	Remove(ctx context.Context, node string) (bool, error)
}

// ClusterHealth is how a cluster is.
type ClusterHealth struct {
	Cluster  *bus.Cluster // nil if nothing is kept
	Problems []string
	Notes    []string
}

// WithCluster has the health reply show c, and operators change it.
func WithCluster(c Cluster) Option { return optionFunc(func(o *options) { o.cluster = c }) }

// addCluster adds c to reply.
func addCluster(reply *bus.HealthReply, c ClusterHealth) {
	reply.Cluster = c.Cluster
	reply.Notes = append(reply.Notes, c.Notes...)
	if len(c.Problems) > 0 {
		reply.Problems = append(reply.Problems, c.Problems...)
		reply.Status = max(reply.Status, backend.Degraded)
	}
}

// removeNode has a node forgotten. Who may ask for it is the business of NATS permissions.
func (s *Server) removeNode(ctx context.Context, r *request) (answer, error) {
	var q bus.RemoveNodeRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if q.Node == "" {
		return answer{}, backend.Invalid("node", "must be given")
	}
	if s.cluster == nil {
		return answer{}, backend.Invalid("node", "this registry has no cluster")
	}
	removed, err := s.cluster.Remove(ctx, q.Node)
	if err != nil {
		return answer{}, err
	}
	body, err := encode(bus.RemoveNodeReply{Removed: removed})
	return answer{body: body}, err
}
