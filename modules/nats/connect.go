package nats

import (
	"context"
	"errors"
	"log/slog"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
)

// connectBoth makes the two connections, or none.
func connectBoth(url string, answer, write, common []natsgo.Option) (answering, writing *natsgo.Conn, err error) {
	if answering, err = natsgo.Connect(url, append(answer, common...)...); err != nil {
		return nil, nil, err
	}
	if writing, err = natsgo.Connect(url, append(write, common...)...); err != nil {
		answering.Close()
		return nil, nil, err
	}
	return answering, writing, nil
}

// commonOptions are those of all the registry's connections: they come back for ever, and
// what was not sent before a connection was lost is not sent after it came back.
func commonOptions(name string, log *slog.Logger) []natsgo.Option {
	refused := &rate.Sometimes{Interval: 10 * time.Second}
	return []natsgo.Option{
		natsgo.Name(name),
		natsgo.MaxReconnects(-1),
		natsgo.ReconnectWait(250 * time.Millisecond),
		natsgo.ReconnectBufSize(-1),
		natsgo.PingInterval(10 * time.Second),
		natsgo.DisconnectErrHandler(func(_ *natsgo.Conn, err error) {
			if err != nil {
				log.LogAttrs(context.Background(), slog.LevelWarn, "connection to nats lost", slog.Any("err", err))
			}
		}),
		natsgo.ReconnectHandler(func(nc *natsgo.Conn) {
			log.LogAttrs(context.Background(), slog.LevelInfo, "connection to nats is back", slog.String("url", nc.ConnectedUrlRedacted()))
		}),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
			if errors.Is(err, natsgo.ErrPermissionViolation) {
				// Whoever names a forbidden reply subject causes one of these.
				refused.Do(func() {
					log.LogAttrs(context.Background(), slog.LevelWarn, "nats refused what a request asked for", slog.Any("err", err))
				})
				return
			}
			log.LogAttrs(context.Background(), slog.LevelWarn, "connection to nats reports an error", slog.Any("err", err))
		}),
	}
}
