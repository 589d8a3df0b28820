package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Key is the store's key that holds the record.
const Key = "keeper"

// Validity is how long a keeper is entitled after it sent a renewal that succeeded. Whoever
// starts a clock from what an earlier keeper may have said adds it.
const Validity = 4 * time.Second

const (
	// renewal is how often a keeper renews.
	renewal = 1500 * time.Millisecond
	// try bounds one write.
	try = time.Second
	// silence is how long a record must stand still before another takes over.
	silence = 3 * time.Second
	// pause is between two tries.
	pause = 250 * time.Millisecond
)

// Record is the value under [Key].
type Record struct {
	Node string `json:"node"`
	Term uint64 `json:"term"`
	// Instance is the process that wrote the record.
	Instance string `json:"instance"`
	// Place is that of [Self].
	Place string `json:"place,omitempty"`
	// Resigned says that Instance is the keeper no longer.
	Resigned bool `json:"resigned,omitempty"`
	// Counter makes each writing another one.
	Counter uint64 `json:"counter"`
}

// Self is what a node is known by.
type Self struct {
	// Node is its name.
	Node string
	// Place, unless "", identifies something that one living process at a time can hold,
	// and that this one holds: a store directory that it has locked. A record of the same
	// node and place is that of a process that has ended. The name alone does not say so:
	// two nodes may have been given the same.
	Place string
}

// attempt is one writing of the record, tried once or more often. All tries are the same
// write, so that only one of them can happen.
type attempt struct {
	record Record
	write  kvstore.Write
	sent   time.Time // before the first try: from then on others may have seen it
	doubt  bool      // the outcome of an earlier try is not known
}

// draft returns an attempt to write r at revision expect.
func (k *Keeper) draft(r Record, expect uint64) (*attempt, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the keeper's record: %w", err)
	}
	operation := fmt.Sprintf("%s-%d", k.instance, k.drafts.Add(1))
	return &attempt{record: r, write: kvstore.Write{
		Key: Key, Value: value, Expect: expect, Labels: kvstore.Labels{Operation: operation},
	}}, nil
}

// next returns an attempt to write the record after r, which is at revision.
func (k *Keeper) next(r Record, revision uint64) (*attempt, error) {
	r.Counter++
	return k.draft(r, revision)
}

// send tries a once.
func (k *Keeper) send(ctx context.Context, a *attempt) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	a.begin()
	return k.store.Write(ctx, a.write)
}

// begin notes when a was first sent.
func (a *attempt) begin() {
	if a.sent.IsZero() {
		a.sent = time.Now()
	}
}
