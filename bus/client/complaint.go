package client

import (
	"context"
	"log/slog"
)

// complaint logs why something has not succeeded yet: once, however often it is tried
// again. What comes after that is for who debugs.
type complaint struct{ made bool }

func (cp *complaint) about(ctx context.Context, log *slog.Logger, message string, attrs ...slog.Attr) {
	level := slog.LevelWarn
	if cp.made {
		level = slog.LevelDebug
	}
	cp.made = true
	log.LogAttrs(ctx, level, message, attrs...) //nolint:sloglint // a literal of who complains
}
