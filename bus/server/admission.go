package server

import (
	"encoding/json"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go/micro"
)

// admission knows who has how many requests in hand. Beyond the limit of all it lets in,
// for half as many again, those who have less than their share of it: whoever asks little
// is not kept out by whoever asks much. Nobody is refused below the limit.
type admission struct {
	limit  int64
	held   [askers]atomic.Int64
	active atomic.Int64 // askers that have requests in hand
	seed   maphash.Seed
}

// askers is how many clients are told apart at most. Those that are not have one share
// between them.
const askers = 4096

func newAdmission(limit int) *admission {
	return &admission{limit: int64(limit), seed: maphash.MakeSeed()}
}

// enter counts a request of who, and reports whether it may go beyond the limit while
// inFlight are in hand.
func (a *admission) enter(who uint16, inFlight int64) (beyond bool) {
	mine := a.held[who].Add(1)
	if mine == 1 {
		a.active.Add(1)
	}
	if inFlight < a.limit || inFlight >= a.limit+a.limit/2 {
		return false
	}
	return mine <= max(a.limit/max(a.active.Load(), 1), 1)
}

// leave ends what enter began.
func (a *admission) leave(who uint16) {
	if a.held[who].Add(-1) == 0 {
		a.active.Add(-1)
	}
}

// requestInfo is a header that a NATS server adds to requests that come from another
// account.
const requestInfo = "Nats-Request-Info"

// imported begins the reply subjects of requests from another account, each its own.
const imported = "_R_."

// asker tells clients apart. A NATS server does not say who has sent a request, but for
// those from other accounts; of the others the subject of the reply tells, which all
// requests of a connection share but for its last token. Who wants to be many can: this is
// between those who mean no harm.
func (a *admission) asker(reply string, header micro.Headers) uint16 {
	if strings.HasPrefix(reply, imported) {
		var info struct {
			Account string `json:"acc"`
			Server  string `json:"server"`
			ID      uint64 `json:"id"`
		}
		if json.Unmarshal([]byte(header.Get(requestInfo)), &info) == nil {
			return uint16(maphash.Comparable(a.seed, info) % askers)
		}
	}
	return uint16(maphash.String(a.seed, reply[:max(strings.LastIndexByte(reply, '.'), 0)]) % askers)
}

// ends reports whether an endpoint gives up what somebody has: an ending makes room, and
// goes before what may need some.
func ends(endpoint string) bool {
	for _, verb := range []string{"unregister", "revoke", "release", "resign"} {
		if strings.HasSuffix(endpoint, verb) {
			return true
		}
	}
	return false
}
