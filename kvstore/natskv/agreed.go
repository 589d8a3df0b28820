package natskv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// wrongSequence begins the description of a conflict; what follows is where the key is, as
// the server that answers knows it.
const wrongSequence = "wrong last sequence: "

// behind reports whether a conflict shows that the server that answered has not come to
// where the write expects its key to be. A leader that was cut off and has come back hears
// what is published for a moment, beside the one that was put in its place: what the one
// refuses, the other may do.
func behind(said *jetstream.APIError, expect uint64) bool {
	if said.ErrorCode != codeWrongRevision {
		return false
	}
	text, ok := strings.CutPrefix(said.Description, wrongSequence)
	if !ok {
		return false
	}
	at, err := strconv.ParseUint(text, 10, 64)
	return err == nil && at < expect
}

// resolveAgreed is resolve where the word of one server does not count. A barrier is
// acknowledged by what the cluster has agreed upon, and w was sent before it on the same
// way: what a server shows that has come to the barrier is what became of w.
func (s *Store) resolveAgreed(ctx context.Context, w *kvstore.Write) (uint64, error) {
	unknown := func(why error) (uint64, error) {
		return 0, fmt.Errorf("%w: a server that lags behind has refused %s: %w", kvstore.ErrUnknownOutcome, w.Key, hide(why))
	}
	barrier, err := s.Barrier(ctx)
	if err != nil {
		return unknown(err)
	}
	scanned, err := s.Scan(ctx, []string{w.Key}, barrier)
	if err != nil {
		return unknown(err)
	}
	var current kvstore.Entry
	for _, e := range scanned.Entries {
		current = e
	}
	switch {
	case w.Made(&current):
		return current.Revision, nil
	case current.Revision == w.Expect:
		return 0, errAgain
	case current.Revision < w.Expect: // it is gone, and so it was before
		return 0, &kvstore.ConflictError{Key: w.Key, Current: current, Known: true}
	}
	return unknown(errors.New("it has been written again since"))
}
