package natskv

import (
	"strings"
	"time"
)

// place is where a message stands.
type place struct {
	sequence, delivery, pending uint64
	at                          time.Time
}

// parsePlace reads the subject that acknowledges a message, as jetstream.Msg.Metadata
// does, without allocating:
//
//	$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<delivery>.<time>.<pending>
//
// Newer servers have <domain>.<account> before the stream and may add tokens at the end.
func parsePlace(reply string) (place, bool) {
	first := 5
	if strings.Count(reply, ".") > 8 {
		first = 7
	}
	var numbers [4]uint64
	i := 0
	for token := range strings.SplitSeq(reply, ".") {
		if n := i - first; n >= 0 && n < len(numbers) {
			v, ok := parseNumber(token)
			if !ok {
				return place{}, false
			}
			numbers[n] = v
		}
		i++
	}
	return place{
		sequence: numbers[0], delivery: numbers[1], pending: numbers[3],
		at: time.Unix(0, int64(numbers[2])), //nolint:gosec // nanoseconds until 2262
	}, i >= first+len(numbers)
}

func parseNumber(s string) (uint64, bool) {
	var n uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + uint64(s[i]-'0')
	}
	return n, s != ""
}
