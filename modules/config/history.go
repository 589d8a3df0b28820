package config

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
)

// History says how much of what happened is kept.
type History struct {
	// HistoryAge is for how long, and HistoryBytes how much at most; 0 of either keeps none.
	HistoryAge   time.Duration `koanf:"history_age"`
	HistoryBytes int           `koanf:"history_bytes"`
}

func defaultHistory() History { return History{HistoryAge: 7 * 24 * time.Hour, HistoryBytes: 1 << 30} }

// HasHistory reports whether anything is kept.
func (h *History) HasHistory() bool { return h.HistoryAge > 0 && h.HistoryBytes > 0 }

func historyFlags(fs *pflag.FlagSet) {
	d := defaultHistory()
	fs.Duration("history-age", d.HistoryAge, "keep for so long what has happened, for roost history and list --at; 0 keeps nothing")
	fs.Int("history-bytes", d.HistoryBytes, "and at most so many bytes; 0 keeps nothing")
}

// minHistory is the shortest history that is any use.
const (
	minHistoryAge   = time.Minute
	minHistoryBytes = 1 << 20
)

func (h *History) validate() error {
	return errors.Join(
		check("history_age", h.HistoryAge == 0 || h.HistoryAge >= minHistoryAge, "must be 0 or at least "+minHistoryAge.String()),
		check("history_bytes", h.HistoryBytes == 0 || h.HistoryBytes >= minHistoryBytes, "must be 0 or at least 1 MiB"),
	)
}
