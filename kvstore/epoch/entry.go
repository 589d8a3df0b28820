package epoch

import (
	"encoding/json"

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
