package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore/journal"
)

// History is what a [Server] tells of the past from.
type History struct {
	Log      journal.Log
	Recorder *journal.Recorder
}

// WithHistory has a [Server] answer an operator's requests for what has happened. nil is as
// good as no such option.
func WithHistory(h *History) Option { return optionFunc(func(o *options) { o.past = h }) }

func (s *Server) historyEndpoints() []*endpoint {
	if s.past == nil {
		return nil
	}
	return []*endpoint{{
		name: "admin-history", subject: s.subjects.AdminHistory(), handle: s.history, reads: true,
		about: "what has happened", request: `{"namespace", "service", "object": "election"|…|"all", "since": "…", "after": 7, "limit": 100}`,
		reply: `{"entries": […], "next", "first": {"time", "epoch", "revision"}, "recorded": 42}`,
	}}
}

// maxHistoryEntry is what an entry has at most beside its body: four names, each byte of
// which may be escaped by five more, a reason, and what is always there.
const maxHistoryEntry = 4*6*backend.MaxName + 6*backend.MaxReason + 400

func (s *Server) history(ctx context.Context, r *request) (answer, error) {
	var q bus.HistoryRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Validate(); err != nil {
		return answer{}, err
	}
	wanted := journal.Range{Pattern: patternOf(&q), After: q.After, Limit: bus.MaxHistory}
	if q.Limit != nil {
		wanted.Limit = *q.Limit
	}
	if q.Since != nil {
		wanted.Since = time.Time(*q.Since)
	}
	_, recorded := s.past.Recorder.Recorded() // before what is read, which may be newer
	page, err := s.past.Log.Read(ctx, wanted)
	if err != nil {
		return answer{}, counting(err)
	}
	reply := bus.HistoryReply{Entries: []bus.HistoryEntry{}, Next: page.Next, Recorded: backend.Revision(recorded)}
	if f := page.First; f != nil {
		reply.First = &bus.HistoryBound{Time: bus.Instant(f.Time), Epoch: backend.Epoch(f.Epoch), Revision: backend.Revision(f.Revision)}
	}
	left := s.pageBudget()
	for i := range page.Records {
		one := &page.Records[i]
		entry, ok := entryOf(one)
		if !ok {
			continue
		}
		if left -= len(entry.Body) + maxHistoryEntry; left < 0 && len(reply.Entries) > 0 {
			reply.Next = page.Records[i-1].Sequence
			break
		}
		reply.Entries = append(reply.Entries, entry)
	}
	return said(&reply, s.stamps.orSeen(backend.Stamp{}), nil)
}

// patternOf returns the keys that q is about.
func patternOf(q *bus.HistoryRequest) string {
	if q.Object == bus.AllObjects {
		return ""
	}
	token := func(name string) string {
		if name == "" {
			return "*"
		}
		return backend.Token(name)
	}
	if q.Object == "" {
		return durable.Prefix + token(q.Namespace) + "." + token(q.Service) + ".*"
	}
	return engine.Prefix + q.Object + "." + token(q.Namespace) + "." + token(q.Service)
}

// entryOf returns what r says; false for one that says nothing to anybody.
func entryOf(r *journal.Record) (bus.HistoryEntry, bool) {
	e := bus.HistoryEntry{
		Time: bus.Instant(r.Time), Epoch: backend.Epoch(r.Epoch), Revision: backend.Revision(r.Revision), Reason: r.Reason,
		From: backend.Revision(r.From), To: backend.Revision(r.To), Body: r.Value,
	}
	if len(r.Value) > 0 && !json.Valid(r.Value) {
		return e, false // written past the registry
	}
	switch r.Kind {
	case journal.Begin:
		e.Kind = bus.HistoryBegin
		return e, true
	case journal.Gap:
		e.Kind = bus.HistoryGap
		return e, true
	case journal.Anew:
		e.Kind = bus.HistoryAnew
		return e, true
	case journal.Change:
	default:
		return e, false
	}
	if strings.HasPrefix(r.Key, durable.Prefix) {
		record, err := durable.Parse(r.Entry)
		if err != nil {
			return e, false
		}
		e.Object, e.Kind = bus.ObjectRegistration, record.Kind.String()
		e.Namespace, e.Service, e.Instance = record.Key.Namespace, record.Key.Service, record.Key.Instance
		return e, true
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.Key, engine.Prefix), ".")
	n, err := engine.ParseName(name)
	if err != nil {
		return e, false
	}
	e.Kind, e.Object, e.Namespace, e.Name = bus.HistoryAnnounced, kind, n.Namespace, n.Name
	if r.Removed {
		e.Kind = bus.HistoryRemoved
	}
	return e, true
}

// addHistory says in reply how recording goes, where that is worth knowing.
func (s *Server) addHistory(reply *bus.HealthReply) {
	if s.past == nil {
		return
	}
	status := s.past.Recorder.Status()
	if status.Failing != nil {
		reply.Notes = append(reply.Notes, fmt.Sprintf("history is not recorded, %d changes are held: %v", status.Held, status.Failing))
	}
	if status.Dropped > 0 {
		reply.Notes = append(reply.Notes, fmt.Sprintf("history has a gap: %d changes were dropped since the start, because it could not be written", status.Dropped))
	}
}
