package clock

import (
	"errors"
	"fmt"
	"log/slog"
)

// Config is what an operator sets. Its zero value is not usable; start from [DefaultConfig].
type Config struct {
	// HoldShare is the share of all leases that must be silent or suspect for the ending of
	// any to be held back; 1 holds none back.
	HoldShare float64

	// HoldMinimum is how many there must be at least.
	HoldMinimum int

	// MaxLeases is how many leases may live at a time.
	MaxLeases int
}

// DefaultConfig returns the settings the documentation describes.
func DefaultConfig() Config { return Config{HoldShare: 0.3, HoldMinimum: 10, MaxLeases: 1_000_000} }

// Validate reports every setting that is wrong, joined.
func (c Config) Validate() error {
	var errs []error
	if !(c.HoldShare >= 0 && c.HoldShare <= 1) {
		errs = append(errs, fmt.Errorf("hold_share %v: must be 0 to 1", c.HoldShare))
	}
	if c.HoldMinimum < 1 {
		errs = append(errs, fmt.Errorf("hold_minimum %d: must be positive", c.HoldMinimum))
	}
	if c.MaxLeases < 1 {
		errs = append(errs, fmt.Errorf("max_leases %d: must be positive", c.MaxLeases))
	}
	return errors.Join(errs...)
}

// Option injects what a program has and an operator does not.
type Option interface{ apply(*options) }

type options struct {
	log *slog.Logger
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

func optionsOf(opts []Option) options {
	all := options{log: slog.New(slog.DiscardHandler)}
	for _, o := range opts {
		o.apply(&all)
	}
	return all
}
