package server

import (
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go/micro"

	"github.com/roostbus/roost/bus"
)

// stats counts what one endpoint was asked.
type stats struct {
	answered, failed, refused, misdirected atomic.Int64
}

// Stats returns what the server has been asked since it was made.
func (s *Server) Stats() bus.RequestStats {
	sum := bus.RequestStats{Limit: int64(s.cfg.MaxInFlight), WaitingLimit: int64(s.cfg.MaxWaiting)}
	if h := s.hands.Load(); h != nil {
		sum.InFlight, sum.Waiting = h.inFlight.Load(), h.waiting.Load()
	}
	for _, e := range s.endpoints {
		e.stats.addTo(&sum)
	}
	return sum
}

func (s *stats) addTo(sum *bus.RequestStats) {
	sum.Answered += s.answered.Load()
	sum.Failed += s.failed.Load()
	sum.Refused += s.refused.Load()
	sum.Misdirected += s.misdirected.Load()
}

// endpointData is what NATS's own statistics of the service carry of an endpoint besides
// what NATS counts itself, which is the handing over of requests and not their answers.
type endpointData struct {
	Answered    int64 `json:"answered"`
	Failed      int64 `json:"failed"`
	Refused     int64 `json:"refused"`
	Misdirected int64 `json:"misdirected"`

	// Backend is what the backend was asked through this endpoint and others of its kind.
	Backend *bus.Operation `json:"backend,omitempty"`
}

func (s *Server) endpointData(of *micro.Endpoint) any {
	for _, e := range s.endpoints {
		if e.name == of.Name {
			return endpointData{
				Answered: e.stats.answered.Load(), Failed: e.stats.failed.Load(),
				Refused: e.stats.refused.Load(), Misdirected: e.stats.misdirected.Load(),
				Backend: s.operation(e.name),
			}
		}
	}
	return nil
}

// operation returns what the backend was asked of an endpoint's kind, nil if nothing or
// unknown.
func (s *Server) operation(endpoint string) *bus.Operation {
	if s.operations == nil {
		return nil
	}
	name, _, _ := strings.Cut(endpoint, "-") // list-namespace is a list
	for _, o := range s.operations() {
		if o.Name == name {
			return &o
		}
	}
	return nil
}
