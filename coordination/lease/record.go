package lease

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore"
)

// Prefix is what the store's keys of leases begin with.
const Prefix = "lease."

// Key returns the store's key of owner's lease.
func Key(owner string) string { return Prefix + owner }

// Remembered is for how long the store remembers an ended lease of which nothing is left.
const Remembered = 40 * time.Minute

// The bounds of what a client may ask for.
const (
	MinTTL   = time.Second
	MaxTTL   = 24 * time.Hour
	MaxGrace = MaxTTL
)

// What a client that does not say is given.
const (
	DefaultTTL   = 15 * time.Second
	DefaultGrace = 2 * time.Second
)

// Record is the value under [Key].
type Record struct {
	Name      string    `json:"name,omitempty"` // for people
	TTLMs     int64     `json:"ttl_ms"`
	GraceMs   int64     `json:"grace_ms"`
	GrantedAt time.Time `json:"granted_at"`
	// Ended says why the lease has ended: a Reason of package backend. It is "" while the
	// lease lives.
	Ended string `json:"ended,omitempty"`
}

// Validate reports what a client may not ask for. ErrInvalid.
func Validate(ttl, grace time.Duration) error {
	switch {
	case ttl < MinTTL || ttl > MaxTTL:
		return backend.Invalid("ttl_ms", "%d must be %d to %d", ttl.Milliseconds(), MinTTL.Milliseconds(), MaxTTL.Milliseconds())
	case grace < 0 || grace > MaxGrace:
		return backend.Invalid("grace_ms", "%d must be 0 to %d", grace.Milliseconds(), MaxGrace.Milliseconds())
	}
	return nil
}

// NewRecord returns the record of a lease that is granted now. ErrInvalid.
func NewRecord(name string, ttl, grace time.Duration, now time.Time) (Record, error) {
	if err := Validate(ttl, grace); err != nil {
		return Record{}, err
	}
	if name != "" {
		if err := backend.ValidateName("name", name); err != nil {
			return Record{}, err
		}
	}
	return Record{
		Name: name, TTLMs: ttl.Milliseconds(), GraceMs: grace.Milliseconds(),
		GrantedAt: now.UTC().Truncate(time.Millisecond),
	}, nil
}

// TTL returns how long the lease lives without a keepalive.
func (r *Record) TTL() time.Duration { return time.Duration(r.TTLMs) * time.Millisecond }

// Grace returns how long it lives after its connection was closed.
func (r *Record) Grace() time.Duration { return time.Duration(r.GraceMs) * time.Millisecond }

// End returns the record of the lease after its end for reason.
func (r Record) End(reason string) Record {
	r.Ended = reason
	return r
}

// Lease is a record and its place in the store.
type Lease struct {
	Owner    string
	Revision uint64 // of the record's newest writing
	Record
}

// ending returns the ending of a lease that has ended.
func (l *Lease) ending() backend.Ending {
	return backend.Ending{Owner: l.Owner, Revision: backend.Revision(l.Revision), Reason: l.Ended}
}

// Write returns the write that puts next in the place of l, for a batch. operation tells it
// from every other.
func (l *Lease) Write(next Record, operation string) (kvstore.Write, error) {
	value, err := json.Marshal(next)
	if err != nil {
		return kvstore.Write{}, fmt.Errorf("encode the lease of %s: %w", l.Owner, err)
	}
	return kvstore.Write{
		Key: Key(l.Owner), Value: value, Expect: l.Revision, Labels: kvstore.Labels{Operation: operation},
	}, nil
}

// parse reads an entry of the store.
func parse(e kvstore.Entry) (Lease, error) {
	r, err := kvstore.Decode[Record](e)
	return Lease{Owner: strings.TrimPrefix(e.Key, Prefix), Revision: e.Revision, Record: r}, err
}
