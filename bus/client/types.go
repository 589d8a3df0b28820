package client

import (
	"github.com/roostbus/roost/backend"
)

// What the registry speaks of, so that a user needs no second import. Package backend
// describes each.
type (
	// Key names a registration.
	Key = backend.Key
	// Scope is everything, a namespace, or a service.
	Scope = backend.Scope
	// Registration says that an instance of a service exists, and where.
	Registration = backend.Registration
	// Endpoints are the ways to reach an instance.
	Endpoints = backend.Endpoints
	// Endpoint is one of them.
	Endpoint = backend.Endpoint
	// Metadata is the JSON object that an instance says about itself.
	Metadata = backend.Metadata
	// Scalar is a value that metadata is searched for.
	Scalar = backend.Scalar
	// Status says what an instance wants to be used for.
	Status = backend.Status
	// Revision orders all changes of one Epoch.
	Revision = backend.Revision
	// Epoch numbers the lives of the registry's store.
	Epoch = backend.Epoch
	// Query selects registrations.
	Query = backend.Query
	// Page is one page of a list.
	Page = backend.Page
	// Removed is a key that a list since a revision no longer has.
	Removed = backend.Removed
	// Read says how new an answer must be.
	Read = backend.Read
	// Write says as whom and on what condition a change is made.
	Write = backend.Write
	// Change says what an update replaces.
	Change = backend.Change
	// Removal is the outcome of an unregister.
	Removal = backend.Removal
	// Stamp says how far an answer reaches.
	Stamp = backend.Stamp
	// Condition says at which revision a write may happen.
	Condition = backend.Condition
	// Operation is one write of a batch.
	Operation = backend.Operation
	// Result is the outcome of an Operation.
	Result = backend.Result
	// Event is one change of one registration.
	Event = backend.Event
	// EventKind says what happened to it.
	EventKind = backend.EventKind
	// Health is how the registry is.
	Health = backend.Health
	// ServiceInfo sums up the instances of a service.
	ServiceInfo = backend.ServiceInfo
	// ServicesPage is one page of those.
	ServicesPage = backend.ServicesPage
)

// The statuses of a registration.
const (
	Up       = backend.Up
	Draining = backend.Draining
	Down     = backend.Down
)

// How new an answer must be; see [Read].
const (
	Local        = backend.Local
	Linearizable = backend.Linearizable
)

// The kinds of operations of a batch.
const (
	OpRegister   = backend.OpRegister
	OpUpdate     = backend.OpUpdate
	OpUnregister = backend.OpUnregister
)

// The kinds of events.
const (
	Registered   = backend.Registered
	Updated      = backend.Updated
	Unregistered = backend.Unregistered
	Expired      = backend.Expired
	Unmatched    = backend.Unmatched
	Gap          = backend.Gap
)

// DefaultNamespace is the namespace of those who name none.
const DefaultNamespace = backend.DefaultNamespace

// DefaultWeight is the usual weight. A Registration says its weight itself: 0 is 0.
const DefaultWeight = backend.DefaultWeight

// The errors to match with errors.Is. The types that carry details, to match with
// errors.As, are in package backend.
var (
	ErrInvalid        = backend.ErrInvalid
	ErrNotOwner       = backend.ErrNotOwner
	ErrNotFound       = backend.ErrNotFound
	ErrExists         = backend.ErrExists
	ErrLeaseExpired   = backend.ErrLeaseExpired
	ErrConflict       = backend.ErrConflict
	ErrTooLarge       = backend.ErrTooLarge
	ErrCompacted      = backend.ErrCompacted
	ErrLimitExceeded  = backend.ErrLimitExceeded
	ErrUnavailable    = backend.ErrUnavailable
	ErrTimeout        = backend.ErrTimeout
	ErrUnknownOutcome = backend.ErrUnknownOutcome
	ErrClosed         = backend.ErrClosed
)

// EndpointsOf returns the endpoints of a map from names to URIs.
func EndpointsOf(m map[string]string) Endpoints { return backend.EndpointsOf(m) }

// MetadataOf encodes v, which must marshal to a JSON object.
func MetadataOf(v any) (Metadata, error) { return backend.MetadataOf(v) }

// ScalarOf returns the value of a condition in [Query]'s Where.
func ScalarOf(v any) (Scalar, error) { return backend.ScalarOf(v) }

// IfAbsent allows a write only where there is no live registration.
func IfAbsent() Condition { return backend.IfAbsent() }

// IfRevision allows a write only where the registration is at r.
func IfRevision(r Revision) Condition { return backend.IfRevision(r) }
