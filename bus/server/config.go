package server

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Config is what an operator sets. Its zero value is not usable; start from [DefaultConfig].
type Config struct {
	// Prefix is what every subject begins with.
	Prefix string

	// Node names this process in the health reply and in the service's metadata.
	Node string

	// Version is that of the program, a semantic version.
	Version string

	// MaxInFlight is how many requests may be in hand at once. Further ones are refused.
	MaxInFlight int

	// MaxWaiting is how many requests may wait at once for what they asked to wait for.
	// They do not count as in hand; each costs about 11 KB. Further ones are refused.
	MaxWaiting int

	// MaxKeepalives is how many keepalives may wait at once to learn whether their leases
	// live, which most know at once. Further ones are refused.
	MaxKeepalives int

	// DefaultTimeout is how long a request may take that does not say.
	DefaultTimeout time.Duration

	// DrainTimeout is how long requests in hand may take once the server is told to stop.
	DrainTimeout time.Duration

	// MaxRequest is the greatest size of a request's body in bytes.
	MaxRequest int
}

// DefaultConfig returns the settings that the documentation describes.
func DefaultConfig() Config {
	return Config{
		Prefix:         bus.DefaultPrefix,
		Node:           "roost",
		Version:        "0.0.0",
		MaxInFlight:    1024,
		MaxWaiting:     10_000,
		MaxKeepalives:  10_000,
		DefaultTimeout: 5 * time.Second,
		DrainTimeout:   5 * time.Second,
		MaxRequest:     1 << 20,
	}
}

// maxTimeout is the longest time that a request may ask for: the longest wait and a
// second.
const maxTimeout = backend.MaxWait + waitMargin

// waitMargin is how much longer than its wait a request may at least be held.
const waitMargin = time.Second

// semver is what NATS takes as the version of a service.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// Validate reports every setting that is wrong, joined.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, err := bus.NewSubjects(c.Prefix); err != nil {
		errs = append(errs, err)
	}
	if c.Node == "" {
		wrong("node: must not be empty")
	}
	if !semver.MatchString(c.Version) {
		wrong("version %q: must be a semantic version like 1.2.3", c.Version)
	}
	if c.MaxInFlight < 1 {
		wrong("max_in_flight %d: must be at least 1", c.MaxInFlight)
	}
	if c.MaxWaiting < 1 {
		wrong("max_waiting %d: must be at least 1", c.MaxWaiting)
	}
	if c.MaxKeepalives < 1 {
		wrong("max_keepalives %d: must be at least 1", c.MaxKeepalives)
	}
	if c.DefaultTimeout < time.Millisecond || c.DefaultTimeout > maxTimeout {
		wrong("default_timeout %v: must be 1ms to %v", c.DefaultTimeout, maxTimeout)
	}
	if c.DrainTimeout < 0 {
		wrong("drain_timeout %v: must not be negative", c.DrainTimeout)
	}
	if c.MaxRequest < 1 {
		wrong("max_request %d: must be at least 1", c.MaxRequest)
	}
	return errors.Join(errs...)
}
