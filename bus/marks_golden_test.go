package bus_test

import (
	"encoding/json"

	"github.com/roostbus/roost/bus"
)

// markMessages are the requests and replies of backups, by the name of its golden file.
func markMessages() map[string]any {
	marks := []bus.Mark{{
		Namespace: "default", Name: "payments",
		Record: json.RawMessage(`{"leader":null,"term":7,"token":"00000001-000000000000002b"}`),
	}}
	return map[string]any{
		"request_admin_marks":   bus.MarksRequest{Kind: bus.KindElection, Paging: bus.Paging{Limit: ptr(100), After: "default.orders"}},
		"request_admin_restore": bus.RestoreRequest{Kind: bus.KindElection, Marks: marks, DryRun: true},
		"request_admin_epoch":   bus.EpochRequest{Above: 1792454400},
		"reply_admin_marks":     bus.MarksReply{Marks: marks, Next: "default.payments"},
		"reply_admin_restore": bus.RestoreReply{Results: []bus.RestoreResult{
			{State: bus.StateRestored},
			{State: bus.StateInUse},
			{Code: bus.CodeConflict, Message: "conflict: a token of epoch 2 cannot be restored in epoch 1"},
		}},
		"reply_admin_epoch": bus.EpochReply{Epoch: 1792454401},
	}
}
