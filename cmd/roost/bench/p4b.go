package bench

import "context"

// syncedCell is P4b.
func syncedCell() Cell {
	return Cell{
		ID: "P4b", Unit: "registers", JetStream: true, Own: true, Serve: []string{"--sync", "always"},
		About:    "register of a new, permanent instance with --sync always, each caller waiting for its own answer",
		Baseline: "a raw Create in a bucket like the registry's, in the same server, which syncs each of them alone, with one ordered consumer",
		Prepare:  prepareSynced,
	}
}

func prepareSynced(ctx context.Context, w *World) ([]Case, error) {
	roost, raw, _, err := w.registers(ctx, 1)
	if err != nil {
		return nil, err
	}
	return []Case{
		{InFlight: 1, Roost: roost, Bare: raw},
		{InFlight: 64, Roost: roost, Bare: raw, Budget: Budget{Rate: 2}},
		{InFlight: 256, Roost: roost, Bare: raw},
	}, nil
}
