package registry

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/modules/config"
)

// storeBackend is a Backend on the node's store.
type storeBackend interface {
	backend.Backend
	Ready(ctx context.Context) error
}

// open returns the Backend that p.Config asks for.
func open(p Params) storeBackend {
	if p.Config.Backend == config.BackendDurable {
		return durable.New(p.Store, p.Tail, p.Guard, p.Leases, durable.WithLogger(p.Log))
	}
	return hybrid.New(p.Store, p.Tail, p.Guard, p.Leases, hybrid.WithLogger(p.Log), hybrid.WithName(p.Config.Backend))
}
