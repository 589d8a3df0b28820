package nats

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/roostbus/roost/coordination/keeper/clock"
)

// TestThreeOfTheServersReasonsMeanThatThePeerClosed also fails when a new server knows more
// reasons than we have thought about.
func TestThreeOfTheServersReasonsMeanThatThePeerClosed(t *testing.T) {
	t.Parallel()
	const unknown = "Unknown State"
	known := 0
	var byPeer []string
	for state := server.ClientClosed; state.String() != unknown; state++ {
		known++
		if clock.ClosedByPeer(state.String()) {
			byPeer = append(byPeer, state.String())
		}
	}
	if diff := cmp.Diff([]string{"Client Closed", "Write Error", "Read Error"}, byPeer); diff != "" {
		t.Errorf("reasons that mean closed by the peer (-want +got):\n%s", diff)
	}
	if known != 37 {
		t.Errorf("the server knows %d reasons; 37 were thought about", known)
	}
	for _, other := range []string{"", unknown, "client closed"} {
		if clock.ClosedByPeer(other) {
			t.Errorf("clock.ClosedByPeer(%q) = true", other)
		}
	}
}

func TestAnAdvisoryIsReadAsTheServersWriteIt(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text   string
		want   Closed
		byPeer bool
	}{
		"closed by its peer": {
			`{"type":"x","server":{"id":"NA"},"client":{"id":7,"kind":"Client","acc":"A"},"reason":"Client Closed"}`,
			Closed{Server: "NA", Client: 7, Reason: "Client Closed"},
			true,
		},
		"closed by the server": {
			`{"server":{"id":"NA"},"client":{"id":7,"kind":"Client"},"reason":"Kicked"}`,
			Closed{Server: "NA", Client: 7, Reason: "Kicked"},
			false,
		},
		"of a leaf node": {`{"server":{"id":"NA"},"client":{"id":7,"kind":"Leafnode"},"reason":"Client Closed"}`, Closed{}, false},
	} {
		got, byPeer, err := closedOf([]byte(row.text))
		if diff := cmp.Diff(row.want, got); err != nil || byPeer != row.byPeer || diff != "" {
			t.Errorf("%s: closedOf() = %v, %v; want %v (-want +got):\n%s", name, byPeer, err, row.byPeer, diff)
		}
	}
	if _, _, err := closedOf([]byte(`{"client":{"id":"seven"}}`)); err == nil {
		t.Error("closedOf() of nonsense = nil; want an error")
	}
}
