package server

import (
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// TestAReplyThatMadeNoRevisionBearsOneThatTheNodeHasSeen covers refusals and writes that
// changed nothing: 0 would say that the node has seen nothing at all.
func TestAReplyThatMadeNoRevisionBearsOneThatTheNodeHasSeen(t *testing.T) {
	t.Parallel()
	var s stamps
	s.ofRead(backend.Stamp{Revision: 42, Epoch: 7})
	for what, header := range map[string]map[string][]string{
		"a write that changed nothing": s.ofWrite(backend.Stamp{Epoch: 7}),
		"a refusal":                    s.ofFailure(backend.Stamp{}, false),
		"a refusal that knows where":   s.ofFailure(backend.Stamp{Epoch: 7}, false),
	} {
		if header[bus.HeaderRevision][0] != "42" || header[bus.HeaderEpoch][0] != "7" {
			t.Errorf("%s bears %v; want revision 42 of epoch 7", what, header)
		}
	}
	if header := s.ofWrite(backend.Stamp{Revision: 41, Epoch: 7}); header[bus.HeaderRevision][0] != "41" {
		t.Errorf("a write bears %v; want the revision that it made", header)
	}
}
