package bus

import (
	"net/url"
	"slices"
	"strings"

	"github.com/roostbus/roost/backend"
)

// OwnNATS is the NATS that a node uses anyway.
const OwnNATS = "own"

// SwitchRequest asks an operator's question: to move the registry to another store, or to
// have it read from elsewhere. What is absent stays as it is.
type SwitchRequest struct {
	// Backend is "hybrid" or "durable".
	Backend string `json:"backend,omitempty"`
	// Bucket is the name of a bucket, and NATSURL the NATS which has it: "own" for the one
	// that the nodes' settings name.
	Bucket  string `json:"bucket,omitempty"`
	NATSURL string `json:"nats_url,omitempty"`
	// DryRun only says what would be done.
	DryRun bool `json:"dry_run,omitempty"`
}

// Validate reports what no registry can do.
func (r *SwitchRequest) Validate() error {
	switch {
	case r.Backend != "" && r.Backend != "hybrid" && r.Backend != "durable":
		return backend.Invalid("backend", "must be hybrid or durable: what is in memory ends with its process")
	case r.Backend == "" && r.Bucket == "" && r.NATSURL == "":
		return backend.Invalid("backend", "one of backend, bucket and nats_url is needed")
	}
	for i := range len(r.Bucket) {
		c := r.Bucket[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' || i == 128 {
			return backend.Invalid("bucket", "must be at most 128 letters, digits, _ or -")
		}
	}
	return validateNATS(r.NATSURL)
}

// maxNATSURL is the greatest length of a SwitchRequest's NATSURL in bytes.
const maxNATSURL = 2048

// validateNATS checks the URL of a NATS, or of its servers, with commas between them; "" is
// none. The error does not repeat it, since it may hold a password.
func validateNATS(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > maxNATSURL {
		return backend.Invalid("nats_url", "is %d bytes long, at most %d are allowed", len(text), maxNATSURL)
	}
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return backend.Invalid("nats_url", "is no URL of a NATS server, like nats://host:4222")
		}
	}
	return nil
}

// SwitchStatusRequest asks how the newest switch is.
type SwitchStatusRequest struct{}

// SwitchAbortRequest gives up the switch that is under way.
type SwitchAbortRequest struct {
	Reason string `json:"reason,omitempty"`
}

// Place says where a registry lies.
type Place struct {
	Kind    string `json:"kind"` // memory or bucket
	Bucket  string `json:"bucket,omitempty"`
	NATSURL string `json:"nats_url,omitempty"` // without a password; "" for the nodes' own NATS
}

// The states of a switch.
const (
	SwitchCopying = "copying"
	SwitchPausing = "pausing" // writes wait
	SwitchSealed  = "sealed"  // writes wait, and the old store is left
	SwitchMoved   = "moved"   // decided; nodes are on their way
	SwitchDone    = "done"
	SwitchAborted = "aborted"
)

// Switch is a move of the registry from one store to another.
type Switch struct {
	ID        string  `json:"id"`
	State     string  `json:"state"`
	From      Place   `json:"from"`
	To        Place   `json:"to"`
	Node      string  `json:"node"` // that carries it out
	StartedAt Instant `json:"started_at"`
	Copied    uint64  `json:"copied"`
	Keys      uint64  `json:"keys"`
	// PauseMs is how long writes waited, up to the decision; once it is done.
	PauseMs int64  `json:"pause_ms,omitempty"`
	Reason  string `json:"reason,omitempty"` // why it was aborted, or what it waits for
}

// SwitchReply says where the registry lies and how the newest switch is.
type SwitchReply struct {
	Node    string   `json:"node"` // that answers
	Backend string   `json:"backend"`
	Home    Place    `json:"home"`
	Nodes   []string `json:"nodes"`
	// WaitingMs is for how long writes have been waiting at this node.
	WaitingMs int64   `json:"waiting_ms,omitempty"`
	Switch    *Switch `json:"switch,omitempty"`
	// Plan is what a dry run says.
	Plan *SwitchPlan `json:"plan,omitempty"`
}

// SwitchPlan is what a switch would do.
type SwitchPlan struct {
	To   Place  `json:"to"`
	Keys uint64 `json:"keys"` // to be copied, removals that are remembered included
	// Replaces is how many keys of this registry's own past lie there and would be deleted.
	Replaces uint64 `json:"replaces,omitempty"`
}

// AdminSwitch returns the subject of a request about switching: start, status or abort.
func (s Subjects) AdminSwitch(verb string) string { return s.prefix + ".admin.switch." + verb }
