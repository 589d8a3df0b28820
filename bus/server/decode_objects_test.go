package server_test

import (
	"testing"

	"github.com/roostbus/roost/bus/server"
)

func TestWhatIsWrongWithARequestAboutAnObjectOrOfAnOperatorIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ request, body, field string }{
		{"campaign", `{"lease":""}`, "lease"},
		{"campaign", `{"lease":1}`, "lease"},
		{"campaign", `{"value":null}`, "value"},
		{"campaign", `{"value":{"a":1,"a":2}}`, "value.a"},
		{"campaign", `{"value":}`, "body"},
		{"campaign", `{"priority":1.5}`, "priority"},
		{"campaign", `{"priority":2147483648}`, "priority"},
		{"campaign", `{"priority":"1"}`, "priority"},
		{"campaign", `{"holder":"h"}`, "holder"},
		{"campaign", `{"wait_ms":null}`, "wait_ms"},
		{"transfer", `{"to":""}`, "to"},
		{"transfer", `{"to":null}`, "to"},
		{"lock", `{"mode":""}`, "mode"},
		{"lock", `{"mode":null}`, "mode"},
		{"lock", `{"holder":null}`, "holder"},
		{"lock", `{"holder":1}`, "holder"},
		{"lock", `{"permits":1}`, "permits"},
		{"semaphore", `{"permits":null}`, "permits"},
		{"semaphore", `{"permits":"1"}`, "permits"},
		{"semaphore", `{"limit":1e3}`, "limit"},
		{"semaphore", `{"mode":"shared"}`, "mode"},
		{"arrive", `{"size":null}`, "size"},
		{"arrive", `{"generation":-1}`, "generation"},
		{"arrive", `{"generation":"1"}`, "generation"},
		{"add", `{"delta":3}`, "delta"},
		{"add", `{"delta":null}`, "delta"},
		{"add", `{"lease":"x"}`, "lease"},
		{"propose", `{"voters":null}`, "voters"},
		{"propose", `{"voters":"all"}`, "voters"},
		{"propose", `{"voters":{"namespace":"a","service":"b","x":1}}`, "voters"},
		{"propose", `{"voters":{"namespace":"a","service":"b","x":"c"}}`, "voters.x"},
		{"propose", `{"voters":{"namespace":"a","namespace":"b"}}`, "voters.namespace"},
		{"propose", `{"quorum":"most"}`, "quorum"},
		{"propose", `{"quorum":0}`, "quorum"},
		{"propose", `{"quorum":null}`, "quorum"},
		{"propose", `{"timeout_ms":"1"}`, "timeout_ms"},
		{"vote", `{"accept":null}`, "accept"},
		{"vote", `{"accept":"yes"}`, "accept"},
		{"vote", `{"id":""}`, "id"},
		{"proposal", `{"id":""}`, "id"},
		{"object", `{"consistency":""}`, "consistency"},
		{"objects", `{"limit":"1"}`, "limit"},
		{"admin_release", `{"reason":null}`, "reason"},
		{"admin_marks", `{"kind":null}`, "kind"},
		{"admin_marks", `{"kind":1}`, "kind"},
		{"admin_restore", `{"marks":null}`, "marks"},
		{"admin_restore", `{"marks":{}}`, "marks"},
		{"admin_restore", `{"marks":[7]}`, "marks.0"},
		{"admin_restore", `{"marks":[{"names":"x"}]}`, "marks.0.names"},
		{"admin_restore", `{"marks":[{"record":{"a":1,"a":2}}]}`, "marks.0.record.a"},
		{"admin_restore", `{"dry_run":1}`, "dry_run"},
		{"admin_epoch", `{"above":4294967296}`, "above"},
		{"admin_epoch", `{"above":-1}`, "above"},
		{"admin_history", `{"since":"yesterday"}`, "since"},
		{"admin_history", `{"since":7}`, "since"},
		{"admin_history", `{"after":-1}`, "after"},
		{"admin_history", `{"limit":null}`, "limit"},
		{"switch", `{"dry_run":"yes"}`, "dry_run"},
		{"switch", `{"url":"nats://a"}`, "url"},
		{"switch_abort", `{"reason":7}`, "reason"},
	} {
		wantInvalid(t, c.request, c.body, server.Decode([]byte(c.body), requests()[c.request]()), c.field)
	}
}

func FuzzCampaignRequest(f *testing.F)       { fuzz(f, "campaign") }
func FuzzTransferRequest(f *testing.F)       { fuzz(f, "transfer") }
func FuzzLockRequest(f *testing.F)           { fuzz(f, "lock") }
func FuzzSemaphoreRequest(f *testing.F)      { fuzz(f, "semaphore") }
func FuzzArriveRequest(f *testing.F)         { fuzz(f, "arrive") }
func FuzzAddRequest(f *testing.F)            { fuzz(f, "add") }
func FuzzProposeRequest(f *testing.F)        { fuzz(f, "propose") }
func FuzzProposeServiceRequest(f *testing.F) { fuzz(f, "propose_service") }
func FuzzVoteRequest(f *testing.F)           { fuzz(f, "vote") }
func FuzzProposalRequest(f *testing.F)       { fuzz(f, "proposal") }
func FuzzRestoreRequest(f *testing.F)        { fuzz(f, "admin_restore") }
func FuzzHistoryRequest(f *testing.F)        { fuzz(f, "admin_history") }
func FuzzSwitchRequest(f *testing.F)         { fuzz(f, "switch") }
