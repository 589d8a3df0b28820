package nats

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// logger passes the NATS server's log on to slog. Its notices are for debugging: what an
// operator wants to know of a start and a stop, the registry says.
type logger struct {
	log   *slog.Logger
	fatal chan string // the first message after which the server does not go on

	// Clients cause most warnings, and any of them can cause as many as it likes.
	mu      sync.Mutex
	since   time.Time // when the present stretch began
	said    int       // warnings in it
	dropped int       // warnings not logged since the last one that was
	refused string    // why another node is not connected, in an operator's words
}

// At most maxWarnings are logged in a stretch of warningStretch.
const (
	warningStretch = 10 * time.Second
	maxWarnings    = 20
)

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
func (l *logger) Warnf(format string, args ...any)   { l.warn(format, args) }

// Errorf logs a warning: most of the server's errors are a client's, a denied publish
// among them.
func (l *logger) Errorf(format string, args ...any) {
	if means, detail := refusalIn(fmt.Sprintf(format, args...)); means != "" && l.refuse(means, detail) {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "another node is not connected", slog.String("why", means+detail))
	}
	l.warn(format, args)
}

// refuse notes why another node is not connected, and reports whether that is news.
func (l *logger) refuse(means, detail string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := !strings.HasPrefix(l.refused, means)
	l.refused = means + detail
	return news
}

// refusal returns why another node was not connected last; "" if nothing is known.
func (l *logger) refusal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

func (l *logger) warn(format string, args []any) {
	dropped, allowed := l.allow(time.Now())
	if dropped > 0 {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "nats server said more than is logged", slog.Int("dropped", dropped))
	}
	if allowed {
		l.say(slog.LevelWarn, format, args)
	}
}

// allow reports whether a warning may be logged at now, and how many were not before it.
func (l *logger) allow(now time.Time) (dropped int, allowed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= warningStretch {
		l.since, l.said = now, 0
	}
	if l.said == maxWarnings {
		l.dropped++
		return 0, false
	}
	l.said++
	dropped, l.dropped = l.dropped, 0
	return dropped, true
}

// Fatalf logs and remembers; the server stops starting, and the process does not end here.
func (l *logger) Fatalf(format string, args ...any) {
	l.say(slog.LevelError, format, args)
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
	}
}
