package nats

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
)

// Dial returns another connection of the registry, to the NATS at url, as whom the node's
// settings say that it is. The caller closes it.
func (l *Link) Dial(url string) (*natsgo.Conn, error) {
	own, err := credentials(l.config.NATS)
	if err != nil {
		return nil, err
	}
	nc, err := natsgo.Connect(url, append(own, commonOptions("roost "+l.config.Node, l.log)...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redacted(url), err)
	}
	return nc, nil
}

// KeepStreams has the embedded NATS keep streams in the store directory, if it does not
// yet: a node that keeps nothing is about to.
func (l *Link) KeepStreams() error {
	if l.embedded == nil || l.embedded.server.JetStreamEnabled() {
		return nil
	}
	if l.config.StoreDir == "" {
		return errors.New("keep streams: this node has no store directory; start it with --store-dir")
	}
	unlock, err := lock(l.config.StoreDir)
	if err != nil {
		return err
	}
	if err := l.embedded.server.EnableJetStream(&server.JetStreamConfig{StoreDir: l.config.StoreDir}); err != nil {
		return errors.Join(fmt.Errorf("start JetStream in %s: %w", l.config.StoreDir, err), unlock())
	}
	l.unlock = unlock
	return nil
}
