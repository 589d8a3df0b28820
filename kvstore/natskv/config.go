package natskv

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Storage says where a bucket keeps its messages.
type Storage uint8

// The storages.
const (
	File Storage = iota + 1
	Memory
)

func (s Storage) jetstream() jetstream.StorageType {
	if s == Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// Config is what an operator sets. Its zero value is not usable; start from
// [DefaultConfig].
type Config struct {
	// Bucket is the name of the key-value bucket.
	Bucket string

	// Prefix is where changes of keys with four tokens are republished, as
	// <Prefix>.<key>; "" republishes nothing.
	Prefix string

	// Quiet makes a new bucket not republish, until Publish; an existing one is what it is.
	Quiet bool

	// First is the revision that the first write to a new bucket makes; 0 is 1.
	First uint64

	// Replicas is 1, 3 or 5, or 0 for 3 where there are so many servers and else 1.
	Replicas int
	Storage  Storage

	// Scale takes an existing bucket that has another number of replicas as it is, for a
	// [Replicator] to change. With 0 replicas that is so anyway.
	Scale bool

	// Domain is the JetStream domain of the bucket; "" for that of the server.
	Domain string

	// Placement, unless zero, says which servers may hold the bucket.
	Placement Placement

	// Synced says that the server syncs every write before it acknowledges it. Writes that
	// are made at once are then made as one atomic batch, which is synced once, where that
	// was seen to be cheaper.
	Synced bool

	// Update allows an existing bucket to be changed where that is safe: Replicas,
	// Prefix, MarkerTTL, and the flags that only permit more.
	Update bool

	// Node names this process among those that share the bucket. Two with one name
	// still work, and their barriers cost each other nothing but sense.
	Node string

	// Timeout bounds a call whose context has no deadline.
	Timeout time.Duration

	// MarkerTTL is how long the bucket remembers messages that end by a TTL of their
	// own. Half of it is the longest gap that a feed bridges without a new snapshot.
	MarkerTTL time.Duration

	// Check is how often a feed compares itself with the bucket.
	Check time.Duration
}

// Placement says which servers may hold a bucket.
type Placement struct {
	Cluster string
	Tags    []string
}

// DefaultConfig returns the settings the documentation describes.
func DefaultConfig() Config {
	return Config{
		Bucket: "roost", Prefix: "roost.v1", Replicas: 1, Storage: File, Node: "node",
		Timeout: 15 * time.Second, MarkerTTL: 30 * time.Minute, Check: 2 * time.Second,
	}
}

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	nodeName   = regexp.MustCompile(`^[A-Za-z0-9_=-]{1,128}$`)
	prefixName = regexp.MustCompile(`^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?$`)
)

// Validate reports every setting that is wrong, joined.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !bucketName.MatchString(c.Bucket) {
		wrong("bucket %q: must be 1 to 128 letters, digits, _ or -", c.Bucket)
	}
	if !nodeName.MatchString(c.Node) {
		wrong("node %q: must be 1 to 128 letters, digits, _, = or -", c.Node)
	}
	if !prefixName.MatchString(c.Prefix) {
		wrong("prefix %q: must be tokens of letters, digits, _ or -, joined by dots", c.Prefix)
	}
	if c.Replicas != 0 && c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		wrong("replicas %d: must be 1, 3 or 5, or 0", c.Replicas)
	}
	if c.Domain != "" && !bucketName.MatchString(c.Domain) {
		wrong("domain %q: must be 1 to 128 letters, digits, _ or -", c.Domain)
	}
	if c.Storage != File && c.Storage != Memory {
		wrong("storage %d: must be file or memory", c.Storage)
	}
	if c.Timeout <= 0 {
		wrong("timeout %v: must be positive", c.Timeout)
	}
	if c.MarkerTTL < time.Second {
		wrong("marker_ttl %v: must be at least a second", c.MarkerTTL)
	}
	if c.Check <= 0 {
		wrong("check %v: must be positive", c.Check)
	}
	return errors.Join(errs...)
}

// enough is how many replicas a bucket has that was not told how many.
const enough = 3

func (c Config) stream() string { return "KV_" + c.Bucket }

// replicas returns how many there are to be where there are servers for them.
func (c Config) replicas() int { return cmp.Or(c.Replicas, enough) }

// scales reports whether an existing bucket may have another number of replicas.
func (c Config) scales() bool { return c.Scale || c.Replicas == 0 }

// api returns what the subjects of JetStream's interface begin with.
func (c Config) api() string {
	if c.Domain == "" {
		return "$JS.API."
	}
	return "$JS." + c.Domain + ".API."
}

// publishTo returns where to publish what is to arrive on subject, which is in the bucket.
// In another domain nobody listens there.
func (c Config) publishTo(subject string) string {
	if c.Domain == "" {
		return subject
	}
	return c.api() + subject
}

func (c Config) subjectPrefix() string { return "$KV." + c.Bucket + "." }

// streamConfig returns the bucket as it is created.
func (c Config) streamConfig() jetstream.StreamConfig {
	sc := jetstream.StreamConfig{
		Name:                   c.stream(),
		Description:            "Roost: registrations, leases and coordination records",
		Subjects:               []string{c.subjectPrefix() + ">"},
		Retention:              jetstream.LimitsPolicy,
		MaxMsgsPerSubject:      1,
		Discard:                jetstream.DiscardNew,
		Storage:                c.Storage.jetstream(),
		Replicas:               c.replicas(),
		MaxMsgs:                -1,
		MaxBytes:               -1,
		MaxMsgSize:             -1,
		MaxConsumers:           -1,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowDirect:            true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: c.MarkerTTL,
		AllowAtomicPublish:     true,
	}
	if c.First > 0 {
		sc.FirstSeq = c.First
	}
	if c.Quiet {
		sc.Metadata = map[string]string{quietMark: "true"}
	}
	if c.Prefix != "" && !c.Quiet {
		sc.RePublish = &jetstream.RePublish{
			Source:      c.subjectPrefix() + "*.*.*.*",
			Destination: c.Prefix + ".{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}.{{wildcard(4)}}",
		}
	}
	if c.Placement.Cluster != "" || len(c.Placement.Tags) > 0 {
		sc.Placement = &jetstream.Placement{Cluster: c.Placement.Cluster, Tags: c.Placement.Tags}
	}
	return sc
}

// Option injects what a program has and an operator does not.
type Option interface{ apply(*options) }

type options struct{ log *slog.Logger }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }
