package bus

import (
	"crypto/sha256"
	"hash"
	"strconv"

	"github.com/roostbus/roost/backend"
)

// The headers of requests.
const (
	HeaderRequestID = "Roost-Request-Id" // makes a repeat recognisable; at most MaxRequestID bytes
	HeaderTimeout   = "Roost-Timeout-Ms" // how long the requester waits
	HeaderEpoch     = "Roost-Epoch"      // also of replies

	// HeaderRepeat says that this request was sent before and that its outcome is not
	// known; its value is the newest revision that the requester knew of then, of the
	// epoch in HeaderEpoch. If it is not recognised as done and its key has changed since,
	// it is a conflict, because it may have been done and undone.
	HeaderRepeat = "Roost-Repeat"

	// HeaderKnown says that a write is sent for the first time, and what is the newest
	// revision that the requester knows of, of the epoch in HeaderEpoch. A write that would
	// change what was changed since is unavailable: it may have been on its way for so long
	// that it has been sent again and done meanwhile.
	HeaderKnown = "Roost-Known"
)

// The headers of replies.
const (
	HeaderRevision  = "Roost-Revision"
	HeaderAge       = "Roost-Age-Ms"
	HeaderErrorCode = "Nats-Service-Error-Code"
	HeaderError     = "Nats-Service-Error"
)

// The headers of stored records and of events.
const (
	HeaderOperation    = "Roost-Operation"
	HeaderEvent        = "Roost-Event"
	HeaderReason       = "Roost-Reason"
	HeaderSequence     = "Nats-Sequence"
	HeaderLastSequence = "Nats-Last-Sequence"
	HeaderKVOperation  = "KV-Operation"
)

// MaxRequestID is the greatest length of a request id in bytes.
const MaxRequestID = 64

// OperationID is the SHA-256 of request id, subject, body and, in a batch, the index of
// the operation (else -1), separated by NUL bytes. It is the zero id without a request id.
func OperationID(requestID, subject string, body []byte, index int) backend.OperationID {
	return OperationIDs(requestID, subject, body)(index)
}

// OperationIDs is OperationID for many operations of one batch: the body is read once.
func OperationIDs(requestID, subject string, body []byte) func(index int) backend.OperationID {
	if requestID == "" {
		return func(int) backend.OperationID { return backend.OperationID{} }
	}
	b := make([]byte, 0, len(requestID)+len(subject)+2)
	b = append(append(b, requestID...), 0)
	b = append(append(b, subject...), 0)
	whole := sha256.New()
	whole.Write(b)
	whole.Write(body)
	return func(index int) backend.OperationID {
		h := whole
		if index >= 0 {
			if c, ok := whole.(hash.Cloner); ok {
				if copied, err := c.Clone(); err == nil {
					h = copied
				}
			}
			h.Write(strconv.AppendInt([]byte{0}, int64(index), 10))
		}
		var id backend.OperationID
		h.Sum(id[:0])
		return id
	}
}
