package main

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// The exit codes. They are API.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnavailable = 5
	exitUnknown     = 6
	exitDegraded    = 10
	exitUnhealthy   = 11
)

// codedError ends the process with a code of its own.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// outcomes says for each error of the registry which exit code it gives and what to do
// about it. The first that matches counts.
var outcomes = []struct {
	err  error
	code int
	hint string
}{
	{backend.ErrUnknownOutcome, exitUnknown, "look it up to see whether it was done"},
	{client.ErrNotRecorded, exitNotFound, "see what there is with: roost history"},
	{backend.ErrInvalid, exitUsage, ""},
	{backend.ErrTooLarge, exitUsage, "make it smaller"},
	{backend.ErrNotFound, exitNotFound, "see what is there with: roost list"},
	{backend.ErrExists, exitConflict, "choose another instance, or unregister that one"},
	{backend.ErrNotOwner, exitConflict, "only its owner may change it; an operator may remove it with: roost unregister --force"},
	{backend.ErrConflict, exitConflict, "look it up again and repeat with its revision"},
	{backend.ErrLeaseExpired, exitConflict, "grant a new one, and register again with it"},
	{backend.ErrCompacted, exitConflict, "list again from the beginning"},
	{backend.ErrLimitExceeded, exitUnavailable, "try again later"},
	{nats.ErrAuthorization, exitFailed, "check --creds, --nkey or the user in --server"},
	{nats.ErrPermissionViolation, exitFailed, "this user may not do that; ask the operator of NATS"},
	{nats.ErrNoServers, exitUnavailable, "start a registry with: roost serve, or say where one is with --server"},
	{backend.ErrTimeout, exitUnavailable, "wait longer with --wait"},
	{backend.ErrUnavailable, exitUnavailable, "check that a registry runs there (roost serve) and that --prefix is its own"},
}

// hint says what to do about an error.
type hint struct {
	err  error
	text string
}

// hintedError is an error about which something else is to be done than about one of
// registrations.
type hintedError struct {
	err   error
	hints []hint
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// aboutObject returns err as that of an object of coordination; nil for nil.
func aboutObject(err error) error { return about(err, objectHints) }

// aboutSwitch returns err as that of a switch; nil for nil.
func aboutSwitch(err error) error { return about(err, switchHints) }

func about(err error, hints []hint) error {
	if err == nil {
		return nil
	}
	return &hintedError{err, hints}
}

var switchHints = []hint{
	{backend.ErrNotFound, "see how the newest was with: roost backend status"},
	{backend.ErrConflict, "see how it is with: roost backend status"},
	{backend.ErrUnknownOutcome, "see whether it was begun with: roost backend status"},
}

var objectHints = []hint{
	{backend.ErrUnknownOutcome, "it may have been done"},
	{backend.ErrNotFound, "of the proposals under one name the last 16 are remembered; live instances that were registered without --permanent have a vote"},
	{backend.ErrExists, "wait until that is decided"},
	{backend.ErrNotOwner, "only those may vote who were asked"},
	{backend.ErrConflict, "do as the others do who use it, or use another name"},
	{backend.ErrLeaseExpired, "grant a new one with: roost lease grant"},
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*codedError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.code
		}
	}
	return exitFailed
}

// complaint says what was tried, what went wrong, and what to do about it.
func complaint(err error) string {
	if errors.Is(err, errQuiet) {
		return ""
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return err.Error()
	}
	if _, ok := errors.AsType[*codedError](err); ok {
		return err.Error()
	}
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		for _, h := range hinted.hints {
			if errors.Is(err, h.err) {
				return fmt.Sprintf("%v; %s", err, h.text)
			}
		}
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) && o.hint != "" {
			return fmt.Sprintf("%v; %s", err, o.hint)
		}
	}
	return err.Error()
}
