package store

import (
	"go.uber.org/fx"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore/natskv"
	"github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/supervision"
)

// ReplicatorParams are the dependencies of NewReplicator.
type ReplicatorParams struct {
	fx.In

	Switching *switching.Store
	Keeper    *keeper.Keeper
}

// ReplicatorResult is what NewReplicator provides.
type ReplicatorResult struct {
	fx.Out

	Replicator *natskv.Replicator
	Service    supervision.Service `group:"services"`
}

// NewReplicator builds the Replicator, which changes the number of replicas on the keeper's
// node alone, and hands its Run to the supervisor.
func NewReplicator(p ReplicatorParams) ReplicatorResult {
	bucket := func() *natskv.Store {
		b, _ := p.Switching.Inner().(*natskv.Store)
		return b // nil where nothing is kept
	}
	r := natskv.NewReplicator(bucket, p.Keeper.Serving)
	return ReplicatorResult{
		Replicator: r,
		Service:    supervision.Service{Name: "replicas", Run: r.Run, Stage: supervision.Core},
	}
}
