package epoch

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Of returns the epoch that an entry of [Key] bears, and the life of the store that it was
// given to; 0 if it bears none.
func Of(e kvstore.Entry) (epoch uint32, generation kvstore.Generation) {
	var r record
	if err := json.Unmarshal(e.Value, &r); err != nil || e.Removed {
		return 0, ""
	}
	return r.Epoch, r.Generation
}

// Raise gives the life generation of store, to which nobody else writes yet, an epoch above
// all others: it follows a store of that epoch.
func Raise(ctx context.Context, store kvstore.Store, generation kvstore.Generation, after uint32) error {
	e, err := store.Get(ctx, Key)
	if err != nil && !errors.Is(err, kvstore.ErrNotFound) {
		return err
	}
	before, _ := Of(e)
	value, err := json.Marshal(record{
		Epoch: max(before, after, uint32(time.Now().Unix())) + 1, Generation: generation, //nolint:gosec // Unix seconds fit until 2106
	})
	if err != nil {
		return err
	}
	_, err = store.Write(ctx, kvstore.Write{Key: Key, Value: value, Expect: e.Revision})
	return err
}
