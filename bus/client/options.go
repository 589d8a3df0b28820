package client

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// The times that calls take at most unless an option says otherwise.
const (
	// DefaultReadTimeout and DefaultWriteTimeout are long enough for a change of the
	// stream's leader to pass unnoticed. Reads wait for one too, if they must show what the
	// client has just written, or are linearizable.
	DefaultReadTimeout  = 15 * time.Second
	DefaultWriteTimeout = 15 * time.Second
)

// Option configures a Client.
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

type options struct {
	prefix       string
	name         string
	readTimeout  time.Duration
	writeTimeout time.Duration
	ownReads     bool
	log          *slog.Logger
	nats         []nats.Option
	replies      func(subject string, body []byte)
	secrets      []string
	following    func(err error)
}

func newOptions(opts []Option) (options, error) {
	o := options{
		prefix:       bus.DefaultPrefix,
		name:         "roost client",
		readTimeout:  DefaultReadTimeout,
		writeTimeout: DefaultWriteTimeout,
		ownReads:     true,
		log:          slog.New(slog.DiscardHandler),
	}
	for _, opt := range opts {
		opt.apply(&o)
	}
	var errs []error
	if o.readTimeout <= 0 {
		errs = append(errs, fmt.Errorf("read timeout %v: must be positive", o.readTimeout))
	}
	if o.writeTimeout <= 0 {
		errs = append(errs, fmt.Errorf("write timeout %v: must be positive", o.writeTimeout))
	}
	if o.log == nil {
		errs = append(errs, errors.New("logger: must not be nil"))
	}
	return o, errors.Join(errs...)
}

// WithPrefix chooses the registry that answers under prefix; see bus.DefaultPrefix.
func WithPrefix(prefix string) Option { return optionFunc(func(o *options) { o.prefix = prefix }) }

// WithName is the name of the connection that [Connect] makes, as the NATS server shows it.
func WithName(name string) Option { return optionFunc(func(o *options) { o.name = name }) }

// WithReadTimeout is how long a read may take, retries included, where its context does
// not end sooner.
func WithReadTimeout(d time.Duration) Option {
	return optionFunc(func(o *options) { o.readTimeout = d })
}

// WithWriteTimeout is WithReadTimeout for writes.
func WithWriteTimeout(d time.Duration) Option {
	return optionFunc(func(o *options) { o.writeTimeout = d })
}

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithNATS adds options to the connection that [Connect] makes: credentials, TLS, an
// inbox prefix. They are applied after the client's own. [New] ignores them.
func WithNATS(opts ...nats.Option) Option {
	return optionFunc(func(o *options) { o.nats = append(o.nats, opts...) })
}

// WithReplies has f see the body of every reply that is no failure, as it came over the
// wire. f is called before the call returns that the reply belongs to, and must not keep
// or change body.
func WithReplies(f func(subject string, body []byte)) Option {
	return optionFunc(func(o *options) { o.replies = f })
}

// WithFollowing has f told how every Watch and every Run of a Replica fares: nil when it
// has begun, an error when it waits for the registry or for NATS, and nil when it goes on.
// It waits also for a registry that is gone while NATS stands, once it has missed the
// keeper's beacon for some ten seconds. f is called by the goroutine of the follower, which
// waits for it.
func WithFollowing(f func(err error)) Option {
	return optionFunc(func(o *options) { o.following = f })
}

// WithoutReadYourWrites answers reads from whatever the answering node has seen, which
// may be less than this client's own last write.
func WithoutReadYourWrites() Option { return optionFunc(func(o *options) { o.ownReads = false }) }
