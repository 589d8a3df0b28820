package server

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// Decode is decode.
var Decode = decode

// RenderPage is renderPage.
var RenderPage = renderPage

// Forbidden reports whether a server with cfg refuses to send to reply.
func Forbidden(cfg Config, reply string) bool { return (&responder{cfg: cfg}).forbidden(reply) }

// Refusal returns what is answered to what is beyond a limit, by a node that has come as far
// as one stamp after another says.
func Refusal(tb testing.TB, quota string, limit int, stamps ...backend.Stamp) (header nats.Header, body []byte) {
	tb.Helper()
	f, err := newRefusal(quota, limit)
	if err != nil {
		tb.Fatal(err)
	}
	for _, stamp := range stamps {
		header = f.header(stamp)
	}
	return header, f.body
}

// ScanKeepalive reads a keepalive of the usual form; ok is false for any other.
func ScanKeepalive(body []byte) (owners []string, many bool, c clock.Connection, ok bool) {
	var k keepalive
	ok = k.scan(body)
	return k.texts(), k.many, k.connection, ok
}

// Keepalive is what a request to keep leases alive says, read again and again.
type Keepalive struct{ k keepalive }

// Scan reads one of the usual form, and reports whether body is one.
func (k *Keepalive) Scan(body []byte) bool { return k.k.scan(body) }

// Deadline is the context of a request, and its end.
func Deadline(parent context.Context, at time.Time) (ctx context.Context, end func()) {
	d := &deadline{parent: parent, at: at}
	return d, d.end
}

// ReadHeaders returns the headers of replies to reads.
func ReadHeaders() func(backend.Stamp) nats.Header { return new(stamps).ofRead }

// Hands carry out functions, limit of them at once.
type Hands struct{ h *hands[request] }

// NewHands returns Hands that do not work yet.
func NewHands(limit int, work func(subject string)) Hands {
	return Hands{newHands(limit, 1, func(r *request) bool { work(r.subject); return false })}
}

// Take reports whether subject was taken on, and whether any would be.
func (h Hands) Take(subject string, privileged bool) (ok, closed bool) {
	t := h.h.take(&request{subject: subject}, privileged)
	return t == accepted, t == closing
}

// Close waits for what is in hand.
func (h Hands) Close(ctx context.Context) bool { return h.h.close(ctx) }

// InFlight returns how many are in hand.
func (h Hands) InFlight() int64 { return h.h.inFlight.Load() }

// Ends is ends.
var Ends = ends

// Admission decides who is let in beyond the limit.
type Admission struct{ a *admission }

// NewAdmission returns the Admission of a limit.
func NewAdmission(limit int) Admission { return Admission{newAdmission(limit)} }

// Asker returns whose a request is.
func (a Admission) Asker(reply string, header micro.Headers) uint16 { return a.a.asker(reply, header) }

// Enter counts a request with that reply subject while inFlight are in hand.
func (a Admission) Enter(reply string, inFlight int64) bool {
	return a.a.enter(a.a.asker(reply, nil), inFlight)
}

// Leave ends what Enter began.
func (a Admission) Leave(reply string) { a.a.leave(a.a.asker(reply, nil)) }
