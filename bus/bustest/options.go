package bustest

import (
	"log/slog"

	"github.com/roostbus/roost/bus"
)

// Option changes the registry that [Start] starts.
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

type options struct {
	prefix string
	log    *slog.Logger
}

func newOptions(opts []Option) options {
	o := options{prefix: bus.DefaultPrefix, log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt.apply(&o)
	}
	return o
}

// WithPrefix has the registry answer under prefix instead of bus.DefaultPrefix.
func WithPrefix(prefix string) Option { return optionFunc(func(o *options) { o.prefix = prefix }) }

// WithLogger sends the registry's logs to l; those of NATS are discarded. The default
// discards all.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }
