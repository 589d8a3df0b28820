package nats

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// logger passes the NATS server's log on to slog. Its notices are for debugging: what an
// operator wants to know of a start and a stop, the registry says.
type logger struct {
	log   *slog.Logger
	fatal chan string // the first message after which the server does not go on
}

var _ server.Logger = (*logger)(nil)

func newLogger(log *slog.Logger) *logger { return &logger{log: log, fatal: make(chan string, 1)} }

func (l *logger) say(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.LogAttrs(ctx, level, "nats server", slog.String("text", fmt.Sprintf(format, args...)))
	}
}

func (l *logger) Noticef(format string, args ...any) { l.say(slog.LevelDebug, format, args) }
func (l *logger) Debugf(format string, args ...any)  { l.say(slog.LevelDebug, format, args) }
func (l *logger) Tracef(format string, args ...any)  { l.say(slog.LevelDebug, format, args) }
func (l *logger) Warnf(format string, args ...any)   { l.say(slog.LevelWarn, format, args) }

// Errorf logs a warning: most of the server's errors are a client's, a denied publish
// among them.
func (l *logger) Errorf(format string, args ...any) { l.say(slog.LevelWarn, format, args) }

// Fatalf logs and remembers; the server stops starting, and the process does not end here.
func (l *logger) Fatalf(format string, args ...any) {
	l.say(slog.LevelError, format, args)
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
	}
}
