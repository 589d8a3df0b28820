package faults

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// wire asks the registry by itself, without a client that would ask again.
type wire struct {
	nc       *nats.Conn
	subjects bus.Subjects
}

// reply is what came of one request.
type reply struct {
	fate     history.Fate // Done if there is a reply, Undone if nobody was there, else Unknown
	data     []byte
	code     bus.Code // of a refusal
	revision client.Revision
	epoch    client.Epoch
}

// lateReply is how long after the end of its wait a reply may come.
const lateReply = 1500 * time.Millisecond

// ask sends one request, once, that waits for so long.
func (w wire) ask(ctx context.Context, subject string, body any, wait time.Duration) reply {
	data, err := json.Marshal(body)
	if err != nil {
		return reply{fate: history.Done, code: bus.CodeInvalid}
	}
	ctx, cancel := context.WithTimeout(ctx, wait+lateReply)
	defer cancel()
	m, err := w.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: data})
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded):
		return reply{fate: history.Undone} // it went nowhere
	case err != nil:
		return reply{fate: history.Unknown}
	}
	r := reply{fate: history.Done, data: m.Data}
	if number := m.Header.Get("Nats-Service-Error-Code"); number != "" {
		r.code = bus.ParseError(number, m.Header.Get("Nats-Service-Error"), m.Data).Code
	}
	revision, _ := strconv.ParseUint(m.Header.Get(bus.HeaderRevision), 10, 64)
	epoch, _ := strconv.ParseUint(m.Header.Get(bus.HeaderEpoch), 10, 32)
	r.revision, r.epoch = client.Revision(revision), client.Epoch(epoch)
	return r
}

// revoke gives a lease up, by its secret.
func (w wire) revoke(ctx context.Context, secret string) reply {
	return w.ask(ctx, w.subjects.LeaseRevoke(), bus.RevokeRequest{Lease: secret}, 0)
}
