package bustest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/coordination/keeper/clock"
)

// subscribeDisconnects subscribes, on a connection in the system account, to what the NATS
// server says about connections of clients that have ended.
func subscribeDisconnects(system *nats.Conn) (*nats.Subscription, error) {
	s, err := system.SubscribeSync("$SYS.ACCOUNT." + server.DEFAULT_GLOBAL_ACCOUNT + ".DISCONNECT")
	if err != nil {
		return nil, err
	}
	return s, system.FlushTimeout(patience)
}

// listen tells the clock of connections that their other ends have closed.
func (a *assembly) listen(ctx context.Context) error {
	for {
		m, err := a.disconnects.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("hear of closed connections: %w", err)
		}
		var ended server.DisconnectEventMsg
		if err := json.Unmarshal(m.Data, &ended); err != nil {
			return fmt.Errorf("read an event of NATS: %w", err)
		}
		if clock.ClosedByPeer(ended.Reason) {
			a.clock.Disconnected(clock.Connection{Server: ended.Server.ID, Client: ended.Client.ID})
		}
	}
}
