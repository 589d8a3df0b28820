package e2e_test

import (
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/e2e/natstest"
)

// R9: the client at the far end of the bus answers as the backend at the near end does.
func TestTheClientKeepsTheContractOverTheBus(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	excused := backendtest.Profile{
		NoLeases: true, NoReasons: true, BriefBatches: true,
	}
	backendtest.Run(t, excused, func(t *testing.T, _ backend.Liveness) backend.Backend {
		t.Helper()
		return connectClient(t, srv, startRegistry(t, srv, "").prefix)
	})
}
