package store

import (
	"go.uber.org/fx"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore/natskv"
	"github.com/roostbus/roost/modules/supervision"
)

// ReplicatorParams are the dependencies of NewReplicator.
type ReplicatorParams struct {
	fx.In

	Bucket *natskv.Store
	Keeper *keeper.Keeper
}

// ReplicatorResult is what NewReplicator provides.
type ReplicatorResult struct {
	fx.Out

	// Replicator is nil where nothing is kept.
	Replicator *natskv.Replicator
	Service    supervision.Service `group:"services"`
}

// NewReplicator builds the Replicator, which changes the number of replicas on the keeper's
// node alone, and hands its Run to the supervisor.
func NewReplicator(p ReplicatorParams) ReplicatorResult {
	r := ReplicatorResult{Service: supervision.Service{Name: "replicas", Stage: supervision.Core}}
	if p.Bucket != nil {
		r.Replicator = natskv.NewReplicator(p.Bucket, p.Keeper.Serving)
		r.Service.Run = r.Replicator.Run
	}
	return r
}
