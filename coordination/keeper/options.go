package keeper

import "log/slog"

// Observer receives what becomes of the node's own keepership. Any field may be nil. Calls
// come one at a time and must not block: while one runs nothing is renewed.
type Observer struct {
	// Begun is called before [Keeper.Tenure] first reports the term, when the node's feed
	// has passed its take-over. Whatever was decided before is void.
	Begun func(term uint64)
	// Ended is called after Tenure has stopped reporting the term, once for each Begun.
	// What is undecided is to be dropped.
	Ended func(term uint64, cause error)
}

// observers are told in the order in which they came.
type observers []*Observer

func (all observers) begun(term uint64) {
	for _, o := range all {
		if o != nil && o.Begun != nil {
			o.Begun(term)
		}
	}
}

func (all observers) ended(term uint64, cause error) {
	for _, o := range all {
		if o != nil && o.Ended != nil {
			o.Ended(term, cause)
		}
	}
}

// Option injects what a program has and an operator does not.
type Option interface{ apply(*options) }

type options struct {
	log       *slog.Logger
	obs       observers
	announcer Announcer
	epochs    Epochs
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithObserver reports what happens to obs too; see [Keeper.Observe].
func WithObserver(obs *Observer) Option {
	return optionFunc(func(o *options) { o.obs = append(o.obs, obs) })
}

// WithAnnouncer has a send the keeper's beacon, with the epoch that epochs says.
func WithAnnouncer(a Announcer, epochs Epochs) Option {
	return optionFunc(func(o *options) { o.announcer, o.epochs = a, epochs })
}
