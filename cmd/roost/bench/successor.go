package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// successor is a candidate in every election that a victim leads.
type successor struct {
	*mourner
	w      *World
	secret string
	drawn  counter
}

func (w *World) successor(ctx context.Context) (*successor, error) {
	secrets, err := w.grant(ctx, 1, longLived)
	if err != nil {
		return nil, err
	}
	s := &successor{w: w, secret: secrets[0]}
	owner := bus.Owner(s.secret)
	s.mourner, err = w.mourn(w.url, w.subjects.Announcements(bus.KindElection, electionNamespace), func(m *nats.Msg) bool { return leads(owner, m) })
	return s, err
}

// leads reports whether an announced election has that leader.
func leads(owner string, m *nats.Msg) bool {
	var record bus.ElectionRecord
	err := json.Unmarshal(m.Data, &record)
	return err == nil && record.Leader != nil && record.Leader.Owner == owner
}

// after returns what starts a process that leads another election each time, with that
// grace, and makes s the next to lead it. Its subject is the announcement's.
func (s *successor) after(grace time.Duration) func(context.Context) (*process, string, error) {
	return func(ctx context.Context) (*process, string, error) {
		o := bus.Object{Namespace: electionNamespace, Name: fmt.Sprintf("k-%d", s.drawn.next())}
		p, _, err := s.w.victim(ctx, s.w.url, Doomed{Election: o.String(), TTL: time.Hour, Grace: grace})
		if err != nil {
			return nil, "", err
		}
		answer, err := s.w.ask(0, s.w.subjects.OfObject(bus.KindElection, bus.VerbCampaign, o), beatOne(s.secret))
		if err == nil && !bytes.HasPrefix(answer, []byte(`{"state":"candidate"`)) {
			err = fmt.Errorf("a campaign against a leader was answered with %s: %w", answer, errWrongAnswer)
		}
		if err != nil {
			p.kill()
			return nil, "", err
		}
		return p, s.w.subjects.Announcement(bus.KindElection, o), nil
	}
}
