package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// Events calls f for every client's connection in the registry's account that is closed
// by its other end, whichever server of a cluster it was to, until ctx is done. It is not
// called for connections that a server ends, or finds silent. f is called by one goroutine,
// in the order of the events, and must not block. Call Events once at a time.
//
// Events are hints. Those of a time without connection are lost, as are those of a server
// that itself ends, from when it is told to leave (lame duck mode); who needs to know all the
// same has a time-out. Where no system account is within reach Events waits for ctx and calls
// nothing: see [Link.HasEvents].
func (l *Link) Events(ctx context.Context, f func(Closed)) error {
	if l.ear == nil {
		<-ctx.Done()
		return nil
	}
	return l.ear.run(ctx, f)
}

// HasEvents reports whether closed connections are noticed now: there is a connection in
// the system account, and it may hear them. It may change at any time.
func (l *Link) HasEvents() bool {
	return l.ear != nil && l.ear.nc.IsConnected() && !l.ear.deaf.Load()
}

// ear is a connection in the system account and what it hears there.
type ear struct {
	nc   *natsgo.Conn
	sub  *natsgo.Subscription
	log  *slog.Logger
	deaf atomic.Bool // refused by the server since it was last connected
}

func newEar(log *slog.Logger) *ear {
	return &ear{log: log.With(slog.String("account", "system"))}
}

// options are those of the connection, beside the common ones. It never gives up: who
// renews the credentials in the file is heard at the next try.
func (e *ear) options() []natsgo.Option {
	return []natsgo.Option{
		natsgo.IgnoreAuthErrorAbort(),
		natsgo.ReconnectWait(time.Second),
		natsgo.DisconnectErrHandler(func(_ *natsgo.Conn, err error) {
			if err != nil && !e.deaf.Load() {
				e.log.LogAttrs(context.Background(), slog.LevelWarn, "connection to nats lost", slog.Any("err", err))
			}
		}),
		natsgo.ReconnectHandler(func(*natsgo.Conn) {
			e.deaf.Store(false)
			e.log.LogAttrs(context.Background(), slog.LevelInfo, "connection to nats is back")
		}),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
			if refused(err) {
				if !e.deaf.Swap(true) {
					e.log.LogAttrs(context.Background(), slog.LevelWarn, "nats refuses to tell of closed connections", slog.Any("err", err))
				}
				return
			}
			e.log.LogAttrs(context.Background(), slog.LevelWarn, "connection to nats reports an error", slog.Any("err", err))
		}),
	}
}

// refused reports whether err says that a server does not let a connection in, or not
// hear.
func refused(err error) bool {
	for _, r := range []error{
		natsgo.ErrPermissionViolation, natsgo.ErrAuthorization, natsgo.ErrAuthExpired,
		natsgo.ErrAuthRevoked, natsgo.ErrAccountAuthExpired,
	} {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

// listen begins to hear of account, and returns when the server has taken that. Until run
// is called the newest events are kept, and too many are lost.
func (e *ear) listen(account string) (err error) {
	if e.sub, err = e.nc.SubscribeSync(disconnects(account)); err != nil {
		return err
	}
	if err := e.nc.FlushTimeout(askTimeout); err != nil {
		return err
	}
	// The server answers a subscription only to refuse it, and does so before the flush.
	if err := e.nc.LastError(); refused(err) {
		return err
	}
	return nil
}

func (e *ear) run(ctx context.Context, f func(Closed)) error {
	for ctx.Err() == nil {
		m, err := e.sub.NextMsgWithContext(ctx)
		if errors.Is(err, natsgo.ErrSlowConsumer) || ctx.Err() != nil {
			continue // the error handler has said the former
		}
		if err != nil {
			return fmt.Errorf("hear of closed connections: %w", err)
		}
		c, byPeer, err := closedOf(m.Data)
		if err != nil {
			e.log.LogAttrs(ctx, slog.LevelWarn, "event of nats cannot be read", slog.Any("err", err))
			continue
		}
		if byPeer {
			f(c)
		}
	}
	return nil
}
