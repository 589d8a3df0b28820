package natskv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/roostbus/roost/kvstore"
)

// maxScan bounds what one server sends in answer to one request.
const maxScan = 16 << 20

var (
	// errMany means that there is more than one request is answered with.
	errMany = errors.New("too much for one answer")
	// errBehind means that the server that answered lags behind.
	errBehind = errors.New("the server that answered has not come so far")
)

// Scan asks any server that has the bucket, and asks again until one has come to atLeast.
//
// The probe of this node is asked for beside patterns: an answer has at least one entry
// then, so that one without any is never taken for an empty bucket.
func (s *Store) Scan(ctx context.Context, patterns []string, atLeast uint64) (kvstore.Scanned, error) {
	if err := kvstore.CheckPatterns(patterns); err != nil {
		return kvstore.Scanned{}, fmt.Errorf("scan: %w", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ctx, end := s.untilClosed(ctx)
	defer end()
	asked := s.subjects(append(slices.Clone(patterns), probePrefix+s.config.Node))
	for pause := newBackoff(); ; {
		if s.closed() {
			return kvstore.Scanned{}, fmt.Errorf("scan: %w", kvstore.ErrClosed)
		}
		scanned, err := s.ask(ctx, asked, atLeast)
		if errors.Is(err, errMany) {
			scanned, err = s.pieces(ctx, asked, atLeast)
		}
		if errors.Is(err, errManyNames) || errors.Is(err, errMany) {
			scanned, err = s.walk(ctx, patterns, atLeast)
		}
		if err == nil {
			scanned.Entries = slices.DeleteFunc(scanned.Entries, func(e kvstore.Entry) bool {
				return !kvstore.MatchesAny(patterns, e.Key)
			})
			return scanned, nil
		}
		if errors.Is(err, errNothing) { // not even our probe: there has been none yet
			if _, err = s.Barrier(ctx); err == nil {
				continue
			}
		}
		if !pause.wait(ctx) {
			return kvstore.Scanned{}, s.unavailable(ctx, err)
		}
	}
}

// unavailable is the error of a call that ctx has ended and whose last try failed with err.
func (s *Store) unavailable(ctx context.Context, err error) error {
	if s.closed() {
		return fmt.Errorf("scan: %w", kvstore.ErrClosed)
	}
	// Of a probe that was not acknowledged, nothing but its text is of interest.
	return fmt.Errorf("scan: %w: %w: %w", kvstore.ErrUnavailable, context.Cause(ctx), hide(err))
}

// untilClosed returns a context that also ends with the Store.
func (s *Store) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scans++
	id := s.scans
	s.scanning[id] = cancel
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.scanning, id)
	}
}

// ask has one server answer at once.
func (s *Store) ask(ctx context.Context, subjects []string, atLeast uint64) (kvstore.Scanned, error) {
	a, err := s.asker.ask(ctx, question{Last: subjects})
	if err != nil {
		return kvstore.Scanned{}, err
	}
	if a.upTo < atLeast {
		return kvstore.Scanned{}, fmt.Errorf("%w: to %d, not %d", errBehind, a.upTo, atLeast)
	}
	entries, err := s.entries(a)
	return kvstore.Scanned{Entries: entries, Revision: a.upTo}, err
}

// entries returns the entries that an answer is made of.
func (s *Store) entries(a *answer) ([]kvstore.Entry, error) {
	entries := make([]kvstore.Entry, len(a.messages))
	for i, m := range a.messages {
		var err error
		if entries[i], err = s.direct(m); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// subjects returns what to ask for so that no two of them overlap; where patterns cannot
// be told apart, everything.
func (s *Store) subjects(patterns []string) []string {
	var apart []string
	for _, p := range patterns {
		if slices.ContainsFunc(apart, func(other string) bool { return covers(other, p) }) {
			continue
		}
		apart = slices.DeleteFunc(apart, func(other string) bool { return covers(p, other) })
		if slices.ContainsFunc(apart, func(other string) bool { return overlap(p, other) }) {
			return []string{s.config.subjectPrefix() + ">"}
		}
		apart = append(apart, p)
	}
	for i := range apart {
		apart[i] = s.config.subjectPrefix() + apart[i]
	}
	return apart
}

// covers reports whether every key of b's is one of a's. A "*" of b's is a token like any
// other, which a "*" of a's stands for; so is a ">".
func covers(a, b string) bool {
	if strings.HasSuffix(b, ">") && !strings.HasSuffix(a, ">") {
		return false
	}
	return kvstore.Matches(a, b)
}

// overlap reports whether a key may be of both patterns.
func overlap(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		switch {
		case as[i] == ">" || bs[i] == ">":
			return true
		case as[i] != bs[i] && as[i] != "*" && bs[i] != "*":
			return false
		}
	}
	return len(as) == len(bs)
}
