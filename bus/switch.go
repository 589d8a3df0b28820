package bus

import "github.com/roostbus/roost/backend"

// SwitchRequest asks an operator's question: to move the registry to another store, or to
// have it read from elsewhere. What is absent stays as it is.
type SwitchRequest struct {
	// Backend is "hybrid" or "durable".
	Backend string `json:"backend,omitempty"`
	// Bucket is the name of a bucket, and NATSURL the NATS which has it.
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
