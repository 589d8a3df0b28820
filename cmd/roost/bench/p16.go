package bench

import "context"

// replicatedCell is P16.
func replicatedCell() Cell {
	return Cell{
		ID: "P16", Unit: "registers", Nodes: 3, JetStream: true,
		About: "register of a new, permanent instance at one of three nodes, which keep three copies",
		Baseline: "an echo with replies of the same size, then a raw Create in a bucket like the registry's with three copies, " +
			"over the same connection, with one ordered consumer",
		Prepare: prepareReplicated,
	}
}

func prepareReplicated(ctx context.Context, w *World) ([]Case, error) {
	roost, _, bare, err := w.registers(ctx, len(w.fleet.nodes))
	if err != nil {
		return nil, err
	}
	// Both streams are led by one node, so that neither has the longer way.
	if err := w.fleet.lead(ctx, w.clients[0], "KV_"+w.scratch, 1); err != nil {
		return nil, err
	}
	if err := w.fleet.lead(ctx, w.clients[0], "KV_"+w.subjects.Bucket(), 1); err != nil {
		return nil, err
	}
	return []Case{
		{InFlight: 1, Roost: roost, Bare: bare},
		{InFlight: 64, Roost: roost, Bare: bare, Budget: Budget{Rate: 0.65}},
		{InFlight: 256, Roost: roost, Bare: bare},
	}, nil
}
