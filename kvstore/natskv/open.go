package natskv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// requiredLevel is the JetStream API level of NATS 2.12, the first with atomic batches.
const requiredLevel = 2

// Open returns a Store on the bucket that config names and makes the bucket if there is
// none. It waits, until ctx is done, for a server that is starting.
//
// A server without JetStream or one that is too old is an error at once, and so is a
// bucket with another configuration, a [ConfigError]. The caller keeps nc and closes it
// after the Store.
func Open(ctx context.Context, nc *nats.Conn, config Config, opts ...Option) (*Store, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("natskv: config: %w", err)
	}
	s := &Store{config: config, nc: nc, options: options{log: slog.New(slog.DiscardHandler)}, scanning: map[uint64]context.CancelFunc{}, done: make(chan struct{})}
	for _, o := range opts {
		o.apply(&s.options)
	}
	if config.Synced {
		s.group = newGrouper(s.done, s.publishGroup)
	}
	var err error
	if s.js, err = interfaceOf(nc, config.Domain); err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	if s.publisher, err = newPublisher(nc); err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	if s.asker, err = newAsker(nc, config.api()+"DIRECT.GET."+config.stream()); err != nil {
		s.publisher.close()
		return nil, fmt.Errorf("natskv: %w", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.start(ctx); err != nil {
		s.publisher.close()
		s.asker.close()
		return nil, fmt.Errorf("natskv: open bucket %s: %w", config.Bucket, err)
	}
	return s, nil
}

// interfaceOf returns JetStream's interface in a domain.
func interfaceOf(nc *nats.Conn, domain string) (jetstream.JetStream, error) {
	if domain == "" {
		return jetstream.New(nc)
	}
	return jetstream.NewWithDomain(nc, domain)
}

// start checks server and bucket, as often as it takes.
func (s *Store) start(ctx context.Context) error {
	waits := newVigil(s.log)
	for pause := newBackoff(); ; {
		err := s.checkServer(ctx)
		if err == nil {
			_, err = s.ensure(ctx)
		}
		if err == nil || !transient(err) {
			return err
		}
		waits.because(ctx, err)
		if !pause.wait(ctx) {
			return fmt.Errorf("%w: no JetStream answers, as of a cluster without a majority of its servers: %w", kvstore.ErrUnavailable, err)
		}
	}
}

func (s *Store) checkServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	account, err := s.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("the account of this connection may not use JetStream on %s: enable it for the account: %w",
			s.nc.ConnectedUrlRedacted(), errPermanent)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled) && !s.hasJetStream():
		return fmt.Errorf("NATS at %s runs without JetStream: start it with JetStream (nats-server -js): %w",
			s.nc.ConnectedUrlRedacted(), errPermanent)
	case err != nil:
		return fmt.Errorf("ask for the JetStream account: %w", err)
	case account.API.Level < requiredLevel:
		return fmt.Errorf("NATS %s at %s is too old (JetStream API level %d): 2.12 or newer (level %d) is needed: %w",
			s.nc.ConnectedServerVersion(), s.nc.ConnectedUrlRedacted(), account.API.Level, requiredLevel, errPermanent)
	}
	return nil
}

// hasJetStream reports whether the server says so, or may be one of others that have. One
// that does and yet does not answer is starting, or has no majority.
func (s *Store) hasJetStream() bool {
	enabled, _ := s.nc.ConnectedServerJetStream()
	return enabled || s.config.Domain != "" || s.nc.ConnectedClusterName() != ""
}

// errPermanent marks what waiting does not change.
var errPermanent = errors.New("cannot be used")

func transient(err error) bool {
	_, differs := errors.AsType[*ConfigError](err)
	refused, isAPI := errors.AsType[*jetstream.APIError](err)
	return !differs && !errors.Is(err, errPermanent) && !errors.Is(err, nats.ErrConnectionClosed) &&
		(!isAPI || refused.Code >= 500 && refused.ErrorCode != codeNoResources && refused.ErrorCode != codeNoStorage ||
			refused.ErrorCode == codeNoPeers)
}

// ensure returns the bucket's state. It makes the bucket if there is none and checks the
// configuration of one that it did not make.
func (s *Store) ensure(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	want := s.config.streamConfig()
	info, err := s.streamInfo(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err := s.create(ctx, want)
		if err == nil {
			s.log.LogAttrs(ctx, slog.LevelInfo, "bucket made", slog.String("bucket", s.config.Bucket))
			return stream.CachedInfo(), nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, fmt.Errorf("make the bucket: %w", err)
		}
		// Somebody else made it meanwhile.
		info, err = s.streamInfo(ctx)
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if s.config.scales() {
		want.Replicas = info.Config.Replicas
	}
	differences := compare(s.config.Bucket, &info.Config, &want)
	if differences == nil {
		return info, nil
	}
	if !s.config.Update || !differences.updatable() {
		return nil, differences
	}
	stream, err := s.js.UpdateStream(ctx, updated(&info.Config, &want))
	if err != nil {
		return nil, fmt.Errorf("update the bucket: %w", err)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "bucket updated", slog.String("bucket", s.config.Bucket))
	return stream.CachedInfo(), nil
}

// create makes a stream, with one replica where nobody has said how many and there are too
// few servers for more.
func (s *Store) create(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := s.js.CreateStream(ctx, want)
	if s.config.Replicas == 0 && tooFew(err) {
		want.Replicas = 1
		stream, err = s.js.CreateStream(ctx, want)
	}
	return stream, err
}

// tooFew reports whether err says that there are not as many servers as replicas.
func tooFew(err error) bool {
	refused, isAPI := errors.AsType[*jetstream.APIError](err)
	return isAPI && (refused.ErrorCode == codeNoPeers || refused.ErrorCode == codeNotClustered)
}

func (s *Store) streamInfo(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := s.js.Stream(ctx, s.config.stream())
	if err != nil {
		return nil, fmt.Errorf("look at the bucket: %w", err)
	}
	return stream.CachedInfo(), nil
}

func generation(info *jetstream.StreamInfo) kvstore.Generation {
	return kvstore.Generation(info.Created.UTC().Format(time.RFC3339Nano))
}
