package kvstore

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Check reports a write that no store takes: [ErrInvalid], for its key, its Keep or
// a label.
func (w *Write) Check() error {
	switch {
	case !validKey(w.Key):
		return invalid(w.Key, "the key is not made of non-empty tokens joined by dots")
	case w.Keep != 0 && !w.Remove:
		return invalid(w.Key, "only a removal has a time to keep")
	case w.Keep < 0 || 0 < w.Keep && w.Keep < time.Second:
		return invalid(w.Key, "a removal is kept for at least a second, not %v", w.Keep)
	}
	for _, label := range [...]string{w.Operation, w.Event, w.Reason} {
		if strings.ContainsAny(label, "\r\n") {
			return invalid(w.Key, "the label %q has a line break", label)
		}
	}
	return nil
}

// Made reports whether e is what w has written. The operation alone does not say so: who
// decides a write again under the same operation, from another state, writes something
// else.
func (w *Write) Made(e *Entry) bool {
	return e.Revision != 0 && w.Operation != "" && e.Operation == w.Operation &&
		e.Removed == w.Remove && bytes.Equal(e.Value, w.Value)
}

// CheckBatch reports a batch that no store takes: one of more than [MaxBatch] writes, or
// with a key twice.
func CheckBatch(writes []Write) error {
	if len(writes) > MaxBatch {
		return invalid("batch", "has %d writes, at most %d are allowed", len(writes), MaxBatch)
	}
	seen := make(map[string]struct{}, len(writes))
	for i := range writes {
		if err := writes[i].Check(); err != nil {
			return err
		}
		if _, twice := seen[writes[i].Key]; twice {
			return invalid(writes[i].Key, "is in the batch twice")
		}
		seen[writes[i].Key] = struct{}{}
	}
	return nil
}

func invalid(what, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrInvalid, what, fmt.Sprintf(format, args...))
}

// validKey reports whether key can be the end of a subject. The bytes that NATS's own
// key-value clients take are allowed and no others.
func validKey(key string) bool {
	if key == "" || key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, "..") {
		return false
	}
	for i := range len(key) {
		c := key[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '.' || c == '-' || c == '_' || c == '/' || c == '=' {
			continue
		}
		return false
	}
	return true
}
