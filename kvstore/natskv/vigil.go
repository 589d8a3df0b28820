package natskv

import (
	"context"
	"log/slog"
	"time"
)

// How long a wait is not worth a word, and how often it is afterwards.
const (
	quietWait = time.Second
	waitWord  = 10 * time.Second
)

// vigil says in the log what is being waited for.
type vigil struct {
	log  *slog.Logger
	next time.Time
}

func newVigil(log *slog.Logger) *vigil { return &vigil{log: log, next: time.Now().Add(quietWait)} }

// because says, now and then, that err is what keeps it waiting.
func (v *vigil) because(ctx context.Context, err error) {
	if time.Now().Before(v.next) {
		return
	}
	v.next = time.Now().Add(waitWord)
	v.log.LogAttrs(ctx, slog.LevelWarn, "waiting for jetstream; a cluster answers when a majority of its servers is there, and the first time all", slog.Any("err", err))
}
