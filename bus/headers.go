package bus

import (
	"crypto/sha256"
	"strconv"

	"github.com/roostbus/roost/backend"
)

// The headers of requests.
const (
	HeaderRequestID = "Roost-Request-Id" // makes a repeat recognisable; at most MaxRequestID bytes
	HeaderTimeout   = "Roost-Timeout-Ms" // how long the requester waits
	HeaderEpoch     = "Roost-Epoch"      // also of replies
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
	if requestID == "" {
		return backend.OperationID{}
	}
	b := make([]byte, 0, len(requestID)+len(subject)+len(body)+16)
	b = append(append(b, requestID...), 0)
	b = append(append(b, subject...), 0)
	b = append(b, body...)
	if index >= 0 {
		b = strconv.AppendInt(append(b, 0), int64(index), 10)
	}
	return sha256.Sum256(b)
}
