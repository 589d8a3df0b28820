package bus

import (
	"encoding/json"

	"github.com/roostbus/roost/backend"
)

// Identity is the part of a body that repeats the subject. What is given must agree
// with it.
type Identity struct {
	Namespace *string `json:"namespace,omitempty"`
	Service   *string `json:"service,omitempty"`
	Instance  *string `json:"instance,omitempty"`
}

// Agrees reports the first field of i that contradicts k, as an InvalidError.
func (i Identity) Agrees(k backend.Key) error {
	for _, f := range []struct {
		name  string
		said  *string
		given string
	}{{"namespace", i.Namespace, k.Namespace}, {"service", i.Service, k.Service}, {"instance", i.Instance, k.Instance}} {
		if f.said != nil && *f.said != f.given {
			return backend.Invalid(f.name, "the body says %q and the subject %q", *f.said, f.given)
		}
	}
	return nil
}

// Content is what a register or update says about an instance.
type Content struct {
	Endpoints     *backend.Endpoints `json:"endpoints,omitempty"`
	Metadata      *backend.Metadata  `json:"metadata,omitempty"`
	MergeMetadata json.RawMessage    `json:"merge_metadata,omitempty"` // update only
	Weight        *uint16            `json:"weight,omitempty"`
	Status        *backend.Status    `json:"status,omitempty"`
}

// Registration returns the registration that a register with content c asks for.
func (c Content) Registration(k backend.Key) (backend.Registration, error) {
	r := backend.Registration{Key: k, Weight: backend.DefaultWeight, Status: backend.Up}
	if c.MergeMetadata != nil {
		return r, backend.Invalid("merge_metadata", "belongs to update")
	}
	return backend.Change{Endpoints: c.Endpoints, Metadata: c.Metadata, Weight: c.Weight, Status: c.Status}.Apply(r)
}

// Change returns the change that an update with content c asks for.
func (c Content) Change() (backend.Change, error) {
	change := backend.Change{Endpoints: c.Endpoints, Metadata: c.Metadata, Weight: c.Weight, Status: c.Status}
	if c.MergeMetadata != nil {
		patch, err := backend.ParsePatch(c.MergeMetadata)
		if err != nil {
			return change, err
		}
		change.Merge = &patch
	}
	return change, change.Validate()
}

// ContentOf is the inverse of Content.Registration.
func ContentOf(r *backend.Registration) Content {
	weight, status := r.Weight, max(r.Status, backend.Up)
	c := Content{Weight: &weight, Status: &status}
	if len(r.Endpoints) > 0 {
		c.Endpoints = &r.Endpoints
	}
	if r.Metadata != "" {
		c.Metadata = &r.Metadata
	}
	return c
}

// ContentOfChange is the inverse of Content.Change.
func ContentOfChange(change backend.Change) Content {
	c := Content{Endpoints: change.Endpoints, Metadata: change.Metadata, Weight: change.Weight, Status: change.Status}
	if change.Merge != nil {
		c.MergeMetadata = json.RawMessage(change.Merge.String())
	}
	return c
}

// Guard is as whom and on what condition a write is made.
type Guard struct {
	Lease      string            `json:"lease,omitempty"`
	IfRevision *backend.Revision `json:"if_revision,omitempty"`
}

// Condition returns what IfRevision asks for.
func (g Guard) Condition() backend.Condition {
	if g.IfRevision == nil {
		return backend.Condition{}
	}
	return backend.IfRevision(*g.IfRevision)
}

// GuardOf returns the guard for a lease's secret ("" for none) and a condition.
func GuardOf(lease string, c backend.Condition) Guard {
	g := Guard{Lease: lease}
	if revision, asked := c.Revision(); asked {
		g.IfRevision = &revision
	}
	return g
}

// RegisterRequest is the body of a register.
type RegisterRequest struct {
	Identity
	Content
	Guard
}

// UpdateRequest is the body of an update.
type UpdateRequest struct {
	Identity
	Content
	Guard
}

// UnregisterRequest is the body of an unregister.
type UnregisterRequest struct {
	Identity
	Guard
	Reason string `json:"reason,omitempty"`
}

// AdminUnregisterRequest is the body of an operator's unregister.
type AdminUnregisterRequest struct {
	Identity
	Reason string `json:"reason,omitempty"`
}

// UnregisterReply answers an unregister.
type UnregisterReply struct {
	Removed  bool             `json:"removed"`
	Revision backend.Revision `json:"revision,omitempty"`
}

// Freshness says how new an answer must be. It is part of every read.
type Freshness struct {
	MinRevision backend.Revision `json:"min_revision,omitempty"`
	Consistency string           `json:"consistency,omitempty"`
	MaxAgeMs    *int64           `json:"max_age_ms,omitempty"`
}

// LookupRequest is the body of a lookup.
type LookupRequest struct {
	Identity
	Freshness
	WaitMs *int64 `json:"wait_ms,omitempty"`
}

// Conditions selects registrations. It is part of list and count.
type Conditions struct {
	Where  map[string]backend.Scalar `json:"where,omitempty"`
	Filter string                    `json:"filter,omitempty"`
	Status Statuses                  `json:"status,omitempty"`
}

// Statuses is one status or an array of them.
type Statuses []backend.Status

// UnmarshalJSON reads a string or an array of strings.
func (s *Statuses) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var one backend.Status
		if err := json.Unmarshal(text, &one); err != nil {
			return err
		}
		*s = Statuses{one}
		return nil
	}
	var many []*backend.Status
	if err := json.Unmarshal(text, &many); err != nil {
		return backend.Invalid("status", "must be a status or an array of them")
	}
	if len(many) == 0 {
		return backend.Invalid("status", "must not be empty")
	}
	*s = nil
	for _, one := range many {
		if one == nil {
			return backend.Invalid("status", "must not contain null")
		}
		*s = append(*s, *one)
	}
	return nil
}

// Paging says which page of a list is wanted.
type Paging struct {
	Limit *int   `json:"limit,omitempty"`
	After string `json:"after,omitempty"`
}

// ListRequest is the body of a list.
type ListRequest struct {
	Namespace *string `json:"namespace,omitempty"`
	Service   *string `json:"service,omitempty"`
	Conditions
	Paging
	Since  *backend.Revision `json:"since,omitempty"`
	WaitMs *int64            `json:"wait_ms,omitempty"`
	Freshness
}

// ListReply answers a list.
type ListReply struct {
	Registrations []*backend.Registration `json:"registrations"`
	Removed       []backend.Removed       `json:"removed,omitzero"` // with since, also where it is empty
	Next          string                  `json:"next,omitempty"`
}

// CountRequest is the body of a count.
type CountRequest struct {
	Namespace *string `json:"namespace,omitempty"`
	Service   *string `json:"service,omitempty"`
	Conditions
	Freshness
}

// CountReply answers a count.
type CountReply struct {
	Count int `json:"count"`
}

// ServicesRequest is the body of a services request.
type ServicesRequest struct {
	Namespace *string `json:"namespace,omitempty"`
	Paging
	Freshness
}

// ServicesReply answers a services request.
type ServicesReply struct {
	Services []backend.ServiceInfo `json:"services"`
	Next     string                `json:"next,omitempty"`
}

// BatchRequest is the body of a batch.
type BatchRequest struct {
	Operations []BatchOperation `json:"operations"`
	Atomic     bool             `json:"atomic,omitempty"`
}

// BatchOperation is one operation of a batch.
type BatchOperation struct {
	Op string `json:"op"`
	Identity
	Content
	Guard
	Reason string `json:"reason,omitempty"` // unregister only
}

// BatchReply answers a batch.
type BatchReply struct {
	Results []BatchResult `json:"results"`
}

// BatchResult is the outcome of one operation: a revision, or an error. As JSON it is
// either a success or what a failed reply has as its body.
type BatchResult struct {
	Revision backend.Revision // 0 where nothing was removed
	Removed  *bool            // unregister only
	*Error
}

// success is a BatchResult without an Error.
type success struct {
	Revision backend.Revision `json:"revision,omitempty"`
	Removed  *bool            `json:"removed,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (r BatchResult) MarshalJSON() ([]byte, error) {
	if r.Error != nil {
		return json.Marshal(r.Error)
	}
	return json.Marshal(success{r.Revision, r.Removed})
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *BatchResult) UnmarshalJSON(text []byte) error {
	var e Error
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if e.Code != "" {
		*r = BatchResult{Error: &e}
		return nil
	}
	var s success
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	*r = BatchResult{Revision: s.Revision, Removed: s.Removed}
	return nil
}

// HealthRequest is the body of a health request.
type HealthRequest struct{}

// HealthReply answers a health request.
type HealthReply struct {
	Status   backend.HealthStatus `json:"status"`
	Problems []string             `json:"problems,omitempty"`
	// Notes say what an operator should know although nothing is wrong.
	Notes         []string         `json:"notes,omitempty"`
	Node          string           `json:"node"`
	Version       string           `json:"version"`
	Backend       string           `json:"backend"`
	State         string           `json:"state"`
	Registrations int              `json:"registrations"`
	Services      int              `json:"services"`
	Revision      backend.Revision `json:"revision"`
	Epoch         backend.Epoch    `json:"epoch"`
	AgeMs         int64            `json:"age_ms"`
	// Leases is how many leases live.
	Leases int `json:"leases"`
	// Suspects is how many of them end soon unless they are kept alive, since their
	// connections were closed, Held how many would have ended with too many others. Only
	// the keeper knows; nil where another node answers.
	Suspects *int `json:"suspects,omitempty"`
	Held     *int `json:"held,omitempty"`
	// ConnectionEvents says whether this node hears of closed connections. Where it does
	// not, a process that dies is noticed when its lease's TTL has passed. It is nil on a
	// node without leases.
	ConnectionEvents *bool `json:"connection_events,omitempty"`
	// Keeper is the one that the node knows of; nil if it knows of none.
	Keeper *Keeper `json:"keeper,omitempty"`
	// Cluster is where the registry is kept; nil where nothing is.
	Cluster    *Cluster     `json:"cluster,omitempty"`
	Requests   RequestStats `json:"requests"`
	Operations []Operation  `json:"operations,omitempty"`
	Tasks      []Task       `json:"tasks,omitempty"`
}

// Operation sums up what a node's backend was asked of one kind.
type Operation struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
	// Refused were answered with what the caller can do something about, Failed could not
	// be answered.
	Refused uint64 `json:"refused"`
	Failed  uint64 `json:"failed"`
	// Latencies in microseconds, of all since the start.
	P50Us int64 `json:"p50_us"`
	P99Us int64 `json:"p99_us"`
	MaxUs int64 `json:"max_us"`
}

// RequestStats counts what a node was asked.
type RequestStats struct {
	InFlight int64 `json:"in_flight"` // those apart that wait
	Limit    int64 `json:"limit"`
	// Waiting requests wait for what they asked to wait for.
	Waiting      int64 `json:"waiting"`
	WaitingLimit int64 `json:"waiting_limit"`
	Answered     int64 `json:"answered"`
	Failed       int64 `json:"failed"`
	Refused      int64 `json:"refused"` // beyond the limits
	// Misdirected requests named a reply subject that nothing is ever sent to: one of
	// NATS itself, or of the registry.
	Misdirected int64 `json:"misdirected"`
}

// Task is a supervised task of a node.
type Task struct {
	Name     string `json:"name"`
	State    string `json:"state"` // running, restarting, stopped
	Restarts int    `json:"restarts"`
	Error    string `json:"error,omitempty"` // of the last failure
}
