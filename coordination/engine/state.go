package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// state is what is stored of one object. It is shared and must not be changed.
type state[T any] struct {
	value     T
	raw       []byte // value, encoded
	present   bool   // else there is no record, or one that cannot be read
	revision  uint64 // of the key's newest entry, a marker included; 0 if there is none
	operation string // that wrote it; several are joined by "+"
	owners    []string
	seen      time.Time // when the feed showed it

	// whole is what the write has left that has made this one and what others made of it; nil
	// if that is the same.
	whole *state[T]
}

// parse returns the state that e stands for. With an error the state is that of no record,
// which the next write replaces.
func parse[T any](k *kind[T], e *kvstore.Entry) (*state[T], error) {
	s := &state[T]{revision: e.Revision, operation: e.Operation, seen: time.Now()}
	if e.Revision == 0 || e.Removed {
		return s, nil
	}
	var value T
	if err := json.Unmarshal(e.Value, &value); err != nil {
		return s, fmt.Errorf("decode %s at revision %d: %w", e.Key, e.Revision, err)
	}
	return s.with(k, value, e.Value), nil
}

func (s *state[T]) with(k *kind[T], value T, raw []byte) *state[T] {
	s.value, s.raw, s.present, s.owners = value, raw, true, k.owners(&value)
	return s
}

// all returns what the write that has made s has left in all.
func (s *state[T]) all() *state[T] {
	if s.whole != nil {
		return s.whole
	}
	return s
}
