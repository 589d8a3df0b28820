package client

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// connection returns the options of a connection that is restored for ever and sends
// nothing late.
func (o *options) connection() []nats.Option {
	log := o.log
	return []nats.Option{
		nats.Name(o.name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a server that starts may not know its accounts yet
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(15 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("connection reported an error", slog.String("subject", subject), slog.Any("err", err))
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				log.Warn("connection lost", slog.Any("err", err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connection restored", slog.String("url", nc.ConnectedUrlRedacted()))
		}),
	}
}

// dial is nats.Connect that does not outlast ctx.
func dial(ctx context.Context, servers string, opts []nats.Option) (*nats.Conn, error) {
	type outcome struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan outcome)
	go func() { // lives for one pass over the servers at most, each bounded by nats.Timeout
		nc, err := nats.Connect(servers, opts...)
		select {
		case done <- outcome{nc, err}:
		case <-ctx.Done():
			if nc != nil {
				nc.Close()
			}
		}
	}()
	select {
	case o := <-done:
		return o.nc, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// redact takes the passwords out of a list of server URLs.
func redact(servers string) string {
	list := strings.Split(servers, ",")
	for i, server := range list {
		if u, err := url.Parse(strings.TrimSpace(server)); err == nil && u.User != nil {
			list[i] = u.Redacted()
		} else if at := strings.LastIndex(server, "@"); at >= 0 {
			list[i] = server[at+1:]
		}
	}
	return strings.Join(list, ",")
}
