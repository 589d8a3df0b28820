package bus_test

import (
	"encoding/json"
	"time"

	"github.com/roostbus/roost/bus"
)

// historyMessages are the requests for what has happened and their replies, by the name of
// its golden file.
func historyMessages() map[string]any {
	at := func(minute int) bus.Instant {
		return bus.Instant(time.Date(2026, 11, 21, 3, minute, 0, 0, time.UTC))
	}
	since := at(0)
	return map[string]any{
		"request_admin_history": bus.HistoryRequest{Namespace: "default", Service: "payments", Since: &since, After: 1203, Limit: ptr(100)},
		"reply_admin_history": bus.HistoryReply{
			Entries: []bus.HistoryEntry{
				{
					Kind: "unregistered", Time: at(12), Epoch: 1792454400, Revision: 42, Reason: "scaled down", Object: bus.ObjectRegistration,
					Namespace: "default", Service: "payments", Instance: "i-1",
					Body: json.RawMessage(`{"namespace":"default","service":"payments","instance":"i-1"}`),
				},
				{Kind: bus.HistoryGap, Time: at(20), Epoch: 1792454400, Revision: 42, From: 42, To: 60},
			},
			Next: 1205, First: &bus.HistoryBound{Time: at(0), Epoch: 1792454400, Revision: 1}, Recorded: 60,
		},
	}
}
