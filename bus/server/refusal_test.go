package server_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
)

func TestARefusalSaysWhatIsFullAndHowFarTheNodeHasCome(t *testing.T) {
	t.Parallel()
	header, body := server.Refusal(t, "requests", 1024, backend.Stamp{Revision: 7, Epoch: 2}, backend.Stamp{Revision: 8, Epoch: 3})
	want := bus.ErrorFrom(&backend.LimitError{Quota: "requests", Limit: 1024})
	var got bus.Error
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("the refusal is another one (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		bus.HeaderRevision: "8", bus.HeaderEpoch: "3",
		bus.HeaderErrorCode: strconv.Itoa(bus.CodeLimitExceeded.Number()), bus.HeaderError: want.Header(),
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
