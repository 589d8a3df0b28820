package natskv

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/kvstore"
)

// The headers that stay with an entry and go out with its publication.
const (
	HeaderOperation = "Roost-Operation"
	HeaderEvent     = "Roost-Event"
	HeaderReason    = "Roost-Reason"

	// headerReplaces is of a barrier: the bucket's generation, and the revision of one of
	// the barriers of that node before it.
	headerReplaces = "Roost-Replaces"

	headerExpect    = "Nats-Expected-Last-Subject-Sequence"
	headerTTL       = "Nats-TTL"
	headerMarker    = "Nats-Marker-Reason"
	headerKV        = "KV-Operation"
	headerBatch     = "Nats-Batch-Id"
	headerBatchSeq  = "Nats-Batch-Sequence"
	headerBatchDone = "Nats-Batch-Commit"
)

// message returns w as it is published.
//
// A removal has no roll-up header, which a client's purge has: with a history of one the
// marker replaces what was there anyway.
func (s *Store) message(w *kvstore.Write) *nats.Msg {
	// One array holds the values of all headers.
	values := make([]string, 0, 6)
	header := make(nats.Header, 8)
	set := func(name, value string) {
		if value != "" {
			values = append(values, value)
			header[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	set(headerExpect, strconv.FormatUint(w.Expect, 10))
	set(HeaderOperation, w.Operation)
	set(HeaderEvent, w.Event)
	set(HeaderReason, w.Reason)
	if w.Remove {
		set(headerKV, "PURGE")
		if w.Keep > 0 {
			set(headerTTL, strconv.FormatInt(int64((w.Keep+time.Second-1)/time.Second), 10))
		}
	}
	return &nats.Msg{Subject: s.config.publishTo(s.config.subjectPrefix() + w.Key), Header: header, Data: w.Value}
}

// stored is an entry with what else its message says.
type stored struct {
	kvstore.Entry
	conditional bool   // it was written at an expected revision
	expect      uint64 // which one
	replaces    string // of a barrier, see headerReplaces
	expires     time.Time
}

// decode returns the entry that a message is. It keeps value.
func decode(key string, header nats.Header, value []byte, revision uint64, at time.Time) stored {
	e := stored{Entry: kvstore.Entry{Key: key, Value: value, Revision: revision, Time: at}}
	if header == nil {
		return e
	}
	e.Operation, e.Event, e.Reason = first(header, HeaderOperation), first(header, HeaderEvent), first(header, HeaderReason)
	if expect := first(header, headerExpect); expect != "" {
		n, err := strconv.ParseUint(expect, 10, 64)
		e.conditional, e.expect = err == nil, n
	}
	e.replaces = first(header, headerReplaces)
	if op := first(header, headerKV); op == "PURGE" || op == "DEL" || first(header, headerMarker) != "" {
		e.Removed = true
	}
	if ttl := first(header, headerTTL); ttl != "" {
		if d, ok := parseTTL(ttl); ok {
			e.expires = at.Add(d)
		}
	}
	return e
}

// before returns a revision of e's key before e's, as the bucket of that generation
// knows it, or 0.
func (e *stored) before(g kvstore.Generation) uint64 {
	if e.conditional {
		return e.expect
	}
	life, revision, _ := strings.Cut(e.replaces, " ")
	if life != string(g) {
		return 0
	}
	n, err := strconv.ParseUint(revision, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func first(header nats.Header, name string) string {
	if values := header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// parseTTL reads seconds or a duration, as the server does.
func parseTTL(s string) (time.Duration, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(n) * time.Second, n > 0
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d > 0
}
