package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	natsgo "github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/modules/config"
)

// Link is the registry's way to NATS.
type Link struct {
	// Answering hears requests and answers them.
	Answering *natsgo.Conn
	// Writing uses JetStream, or publishes events where there is none.
	Writing *natsgo.Conn
	// ClientURL is where clients connect.
	ClientURL string

	embedded *Embedded // nil if NATS is elsewhere
	ear      *ear      // nil if no system account is within reach
	closed   []chan struct{}
	unlock   func() error

	config config.Server
	log    *slog.Logger
}

// Open locks the store directory, if anything is kept, and starts or reaches the NATS that
// c asks for.
func Open(c config.Server, subjects bus.Subjects, log *slog.Logger) (*Link, error) {
	l := &Link{unlock: func() error { return nil }, config: c, log: log}
	var err error
	if c.Kept() {
		if l.unlock, err = lock(c.StoreDir); err != nil {
			return nil, err
		}
	}
	if err := l.connect(c, subjects, log); err != nil {
		return nil, errors.Join(err, l.unlock())
	}
	for _, nc := range []*natsgo.Conn{l.Answering, l.Writing} {
		closed := make(chan struct{})
		l.closed = append(l.closed, closed)
		nc.SetClosedHandler(func(*natsgo.Conn) { close(closed) })
	}
	return l, nil
}

func (l *Link) connect(c config.Server, subjects bus.Subjects, log *slog.Logger) (err error) {
	opts := commonOptions("roost "+c.Node, log)
	if !c.Embedded() {
		l.ClientURL = redacted(c.URL)
		return l.connectExternal(c.NATS, opts, log)
	}
	e := EmbeddedConfig{
		Name: c.Node, Listen: c.Listen, Subjects: subjects,
		SyncAlways: c.Sync == config.SyncAlways, TrustedClients: c.TrustedClients,
		Advertise: c.Advertise, Leave: c.StopTimeout / 5,
	}
	if c.Clustered() {
		if e.Cluster, err = clusterOf(&c.Cluster); err != nil {
			return err
		}
	}
	if c.Kept() {
		e.StoreDir = c.StoreDir
	}
	if l.embedded, err = StartEmbedded(e, log); err != nil {
		return err
	}
	if err = l.connectEmbedded(opts, log); err != nil {
		l.embedded.Stop()
		return fmt.Errorf("connect to the embedded NATS: %w", err)
	}
	l.ClientURL = l.embedded.ClientURL()
	if c.TrustedClients {
		log.LogAttrs(context.Background(), slog.LevelWarn,
			"trusted_clients is set: every client may forge events and write the bucket; for development only")
	}
	return nil
}

func (l *Link) connectEmbedded(opts []natsgo.Option, log *slog.Logger) (err error) {
	if l.Answering, l.Writing, err = l.embedded.Connect(opts...); err != nil {
		return err
	}
	if l.ear, err = listenEmbedded(l.embedded, opts, log); err != nil {
		l.Answering.Close()
		l.Writing.Close()
	}
	return err
}

func (l *Link) connectExternal(c config.NATS, opts []natsgo.Option, log *slog.Logger) (err error) {
	if l.Answering, l.Writing, err = connectExternal(c, opts); err != nil || c.SystemCreds == "" {
		return err
	}
	if l.ear, err = listenExternal(c, l.Answering, opts, log); err != nil {
		l.Answering.Close()
		l.Writing.Close()
	}
	return err
}

// Close drains both connections and waits until they are closed, then has an embedded NATS
// leave its cluster, shuts it down and unlocks the store directory. When ctx is done it
// closes what is left at once.
func (l *Link) Close(ctx context.Context) error {
	if l.ear != nil {
		l.ear.nc.Close()
	}
	var problems []error
	for i, nc := range []*natsgo.Conn{l.Answering, l.Writing} {
		if err := nc.Drain(); err != nil && !errors.Is(err, natsgo.ErrConnectionClosed) {
			nc.Close()
		}
		select {
		case <-l.closed[i]:
		case <-ctx.Done():
			nc.Close()
			problems = append(problems, fmt.Errorf("drain %q: %w", nc.Opts.Name, ctx.Err()))
		}
	}
	if l.embedded != nil {
		l.embedded.Leave(ctx)
		l.embedded.Stop()
	}
	return errors.Join(append(problems, l.unlock())...)
}
