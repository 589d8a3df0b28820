package nats

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
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
	return Closed{Server: a.Server.ID, Client: a.Client.ID, Reason: a.Reason}, closedByPeer(a.Reason), nil
}

// closedByPeer reports whether a connection that ended for reason was ended by its other
// end: the end of the stream (FIN), or an error of reading or writing (RST). Servers turn
// TCP's own keepalive off, so an error is no sign of silence; silence is a stale connection.
//
// Every other reason, one of a server to come included, is a server's decision about a
// client that may well live.
func closedByPeer(reason string) bool {
	switch reason {
	case server.ClientClosed.String(), server.ReadError.String(), server.WriteError.String():
		return true
	}
	return false
}
