package server

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper"
)

// Announcer publishes the keeper's beacon.
type Announcer struct {
	nc      *nats.Conn
	streams jetstream.JetStream
	bucket  func() string
	subject string
}

var _ keeper.Announcer = (*Announcer)(nil)

// NewAnnouncer returns an Announcer that publishes through nc. bucket returns the name of
// the bucket whose stream publishes the changes, in a JetStream domain, "" for that of the
// server; or "" while they are published through nc.
func NewAnnouncer(nc *nats.Conn, subjects bus.Subjects, bucket func() string, domain string) (*Announcer, error) {
	js, err := newJetStream(nc, domain)
	if err != nil {
		return nil, fmt.Errorf("announcer: %w", err)
	}
	return &Announcer{nc: nc, streams: js, bucket: bucket, subject: subjects.Beacon()}, nil
}

func newJetStream(nc *nats.Conn, domain string) (jetstream.JetStream, error) {
	if domain == "" {
		return jetstream.New(nc)
	}
	return jetstream.NewWithDomain(nc, domain)
}

// Source implements [keeper.Announcer]: the stream's life, the server that leads it and
// since when, the server that this connection is to, and how often it was lost.
//
// Where the stream is replicated the time of its leader's election tells one leadership
// from the next, of the same server too. A server that keeps a stream alone has no
// elections: if this connection is to it, its id or the reconnect tells of its restart; if
// it is to another, the keeper's own feed is interrupted, since its consumer dies with the
// server that keeps the stream.
func (a *Announcer) Source(ctx context.Context) (string, error) {
	way := fmt.Sprintf("%s %d", a.nc.ConnectedServerId(), a.nc.Stats().Reconnects)
	bucket := a.bucket()
	if bucket == "" {
		if !a.nc.IsConnected() {
			return "", nats.ErrDisconnected
		}
		return way, nil
	}
	stream, err := a.streams.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return "", fmt.Errorf("look at the bucket: %w", err)
	}
	info := stream.CachedInfo()
	leader := ""
	if c := info.Cluster; c != nil {
		leader = c.Leader
		if c.LeaderSince != nil {
			leader += " " + c.LeaderSince.UTC().Format(time.RFC3339Nano)
		}
	}
	return fmt.Sprintf("%s %s %s", way, info.Created.UTC().Format(time.RFC3339Nano), leader), nil
}

// Announce implements [keeper.Announcer].
func (a *Announcer) Announce(b keeper.Beacon) error {
	body, err := json.Marshal(bus.Beacon{
		Revision: backend.Revision(b.Revision), Epoch: backend.Epoch(b.Epoch), Feed: b.Feed, Keeper: bus.Keeper(b.Keeper),
	})
	if err != nil {
		return err
	}
	return a.nc.Publish(a.subject, body)
}
