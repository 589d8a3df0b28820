package nats

import (
	"encoding/json"
	"fmt"

	"github.com/roostbus/roost/coordination/keeper/clock"
)

// Closed is a client's connection that its other end has closed.
type Closed struct {
	Server string // the id of the server that it was to
	Client uint64 // its number there
	Reason string // in the server's words
}

// disconnects is where the servers say, in the system account, which connections in an
// account have ended.
func disconnects(account string) string { return "$SYS.ACCOUNT." + account + ".DISCONNECT" }

// advisory is what we read of what they say.
type advisory struct {
	Server struct {
		ID string `json:"id"`
	} `json:"server"`
	Client struct {
		ID   uint64 `json:"id"`
		Kind string `json:"kind"`
	} `json:"client"`
	Reason string `json:"reason"`
}

// closedOf returns the connection of an advisory, and whether it was closed by its peer.
func closedOf(data []byte) (c Closed, byPeer bool, err error) {
	var a advisory
	if err := json.Unmarshal(data, &a); err != nil {
		return Closed{}, false, fmt.Errorf("read an event of NATS: %w", err)
	}
	// A leaf node is a server, whose clients are numbered by itself.
	if a.Client.Kind != "" && a.Client.Kind != "Client" {
		return Closed{}, false, nil
	}
	return Closed{Server: a.Server.ID, Client: a.Client.ID, Reason: a.Reason}, clock.ClosedByPeer(a.Reason), nil
}
