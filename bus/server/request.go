package server

import (
	"errors"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// request is one request in hand. It is used again for another one, so nothing that a
// Backend is given may share its memory.
type request struct {
	to       *endpoint
	subject  string
	reply    string
	data     []byte
	header   micro.Headers
	received time.Time

	// What the headers say.
	id       string
	epoch    backend.Epoch
	timeout  time.Duration
	repeated bool // the request was sent before, when known was the newest revision known
	dated    bool // it was not, and known is the newest revision that its sender knows
	known    backend.Revision

	keepalive keepalive // what the body says, where it is one

	deadline *deadline // of its context
	waited   bool      // it has been counted as one that waits
	asker    uint16    // whose it is, for admission

	buf []byte   // for the body of the reply
	out nats.Msg // the reply
}

func (r *request) fill(subject, reply string, data []byte, header micro.Headers) {
	r.subject, r.reply, r.data, r.header = subject, reply, data, header
	r.received = time.Now()
	r.id, r.epoch, r.timeout, r.repeated, r.dated, r.known = "", 0, 0, false, false, 0
	r.deadline, r.waited = nil, false
}

// forget drops what r refers to.
func (r *request) forget() {
	r.to, r.subject, r.reply, r.data, r.header, r.deadline, r.out = nil, "", "", nil, nil, nil, nats.Msg{}
	if cap(r.buf) > maxKeptBuffer {
		r.buf = nil
	}
}

// maxKeptBuffer is the capacity of the largest buffer that is kept for another request.
const maxKeptBuffer = 64 << 10

// parseHeaders reads the headers of r. timeout is that of a request that names none.
func (r *request) parseHeaders(timeout time.Duration) error {
	r.timeout = timeout
	if len(r.header) == 0 {
		return nil
	}
	if s := r.header.Get(bus.HeaderTimeout); s != "" {
		ms, err := strconv.ParseUint(s, 10, 32)
		if r.timeout = time.Duration(ms) * time.Millisecond; err != nil || ms == 0 || r.timeout > maxTimeout {
			r.timeout = timeout
			return backend.Invalid(bus.HeaderTimeout, "%.40q must be a number of milliseconds, 1 to %d", s, maxTimeout.Milliseconds())
		}
	}
	if s := r.header.Get(bus.HeaderEpoch); s != "" {
		epoch, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return backend.Invalid(bus.HeaderEpoch, "%.40q must be a number of 32 bits", s)
		}
		r.epoch = backend.Epoch(epoch)
	}
	if err := errors.Join(r.parseKnown(bus.HeaderRepeat, &r.repeated), r.parseKnown(bus.HeaderKnown, &r.dated)); err != nil {
		return err
	}
	if r.repeated && r.dated {
		return backend.Invalid(bus.HeaderKnown, "is for what is sent for the first time, and %s for what is not", bus.HeaderRepeat)
	}
	if r.id = r.header.Get(bus.HeaderRequestID); r.id != "" {
		return validateRequestID(r.id)
	}
	return nil
}

// parseKnown reads a header that says what the sender knows, and notes whether it is given.
func (r *request) parseKnown(name string, given *bool) error {
	s := r.header.Get(name)
	if s == "" {
		return nil
	}
	known, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return backend.Invalid(name, "%.40q must be a revision", s)
	}
	*given, r.known = true, backend.Revision(known)
	return nil
}

func validateRequestID(id string) error {
	if !utf8.ValidString(id) {
		return backend.Invalid(bus.HeaderRequestID, "is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(id); n > bus.MaxRequestID {
		return backend.Invalid(bus.HeaderRequestID, "is %d characters long, at most %d are allowed", n, bus.MaxRequestID)
	}
	for _, c := range id {
		if unicode.Is(unicode.Cc, c) {
			return backend.Invalid(bus.HeaderRequestID, "contains a control character")
		}
	}
	return nil
}

// write returns the Write that r asks for with guard g, as far as a batch's operations
// have it in common.
func (r *request) write(g bus.Guard, reason string) (backend.Write, error) {
	w := backend.Write{If: g.Condition(), Epoch: r.epoch, Repeated: r.repeated, Known: r.known, Dated: r.dated, Reason: reason}
	if g.Lease != "" {
		if err := bus.ValidateSecret(g.Lease); err != nil {
			return w, err
		}
		w.Owner = bus.Owner(g.Lease)
	}
	return w, w.Validate()
}

// identified returns the Write that r, which is no batch, asks for.
func (r *request) identified(g bus.Guard, reason string) (backend.Write, error) {
	w, err := r.write(g, reason)
	w.ID = bus.OperationID(r.id, r.subject, r.data, -1)
	return w, err
}
