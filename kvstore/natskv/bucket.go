package natskv

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ConfigError says how an existing bucket differs from what is needed.
type ConfigError struct {
	Bucket      string
	Differences []Difference
}

// Difference is one setting of an existing bucket that is not as needed.
type Difference struct {
	Field     string // as the server's stream configuration spells it
	Is, Want  string
	Updatable bool // whether it can be changed safely; see Config.Update
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bucket %s exists with another configuration:", e.Bucket)
	all := true
	for i, d := range e.Differences {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s is %s and must be %s", d.Field, d.Is, d.Want)
		all = all && d.Updatable
	}
	if all {
		b.WriteString("; allow updates to have it changed")
	} else {
		b.WriteString("; use another bucket, or back this one up, delete it and restore into a new one")
	}
	return b.String()
}

// updatable reports whether every difference can be changed safely.
func (e *ConfigError) updatable() bool {
	for _, d := range e.Differences {
		if !d.Updatable {
			return false
		}
	}
	return true
}

// compare returns how a stream differs from what is needed, or nil.
func compare(bucket string, is, want *jetstream.StreamConfig) *ConfigError {
	e := &ConfigError{Bucket: bucket}
	differ := e.differ
	differ(false, "subjects", is.Subjects, want.Subjects)
	differ(false, "retention", is.Retention, want.Retention)
	differ(false, "storage", is.Storage, want.Storage)
	differ(false, "mirror", is.Mirror != nil, false)
	differ(false, "sources", len(is.Sources) > 0, false)
	differ(false, "subject_transform", is.SubjectTransform != nil, false)
	differ(false, "sealed", is.Sealed, false)
	differ(false, "no_ack", is.NoAck, false)
	differ(false, "max_msgs_per_subject", is.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	differ(false, "discard", is.Discard, want.Discard)
	differ(false, "discard_new_per_subject", is.DiscardNewPerSubject, false)
	differ(false, "deny_delete", is.DenyDelete, want.DenyDelete)
	differ(false, "deny_purge", is.DenyPurge, want.DenyPurge)
	differ(false, "allow_msg_counter", is.AllowMsgCounter, false)
	differ(false, "persist_mode", is.PersistMode == jetstream.AsyncPersistMode, false)
	differ(true, "max_age", is.MaxAge, time.Duration(0))
	differ(true, "max_msgs", is.MaxMsgs, want.MaxMsgs)
	differ(true, "allow_rollup_hdrs", is.AllowRollup, want.AllowRollup)
	differ(true, "allow_direct", is.AllowDirect, want.AllowDirect)
	differ(true, "allow_msg_ttl", is.AllowMsgTTL, want.AllowMsgTTL)
	differ(true, "subject_delete_marker_ttl", is.SubjectDeleteMarkerTTL, want.SubjectDeleteMarkerTTL)
	differ(true, "allow_atomic", is.AllowAtomicPublish, want.AllowAtomicPublish)
	differ(true, "num_replicas", is.Replicas, want.Replicas)
	if is.Metadata[quietMark] == "" && !quiet(want) {
		differ(true, "republish", republish(is), republish(want))
	}
	if len(e.Differences) == 0 {
		return nil
	}
	return e
}

// differ notes a setting that is not as wanted.
func (e *ConfigError) differ(updatable bool, field string, is, want any) {
	if a, b := fmt.Sprint(is), fmt.Sprint(want); a != b {
		e.Differences = append(e.Differences, Difference{Field: field, Is: quoteEmpty(a), Want: quoteEmpty(b), Updatable: updatable})
	}
}

func quoteEmpty(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func republish(c *jetstream.StreamConfig) string {
	if c.RePublish == nil {
		return ""
	}
	s := c.RePublish.Source + " to " + c.RePublish.Destination
	if c.RePublish.HeadersOnly {
		s += " (headers only)"
	}
	return s
}

// updated returns is with what compare compares changed to want.
func updated(is, want *jetstream.StreamConfig) jetstream.StreamConfig {
	c := *is
	c.MaxAge, c.MaxMsgs = want.MaxAge, want.MaxMsgs
	c.AllowRollup, c.AllowDirect, c.AllowMsgTTL = want.AllowRollup, want.AllowDirect, want.AllowMsgTTL
	c.SubjectDeleteMarkerTTL, c.AllowAtomicPublish = want.SubjectDeleteMarkerTTL, want.AllowAtomicPublish
	c.Replicas, c.RePublish = want.Replicas, want.RePublish
	return c
}
