package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// The most that is asked for at once. A server answers for 1,024 subjects, and takes no
// request that is larger than its greatest message.
const (
	maxPiece      = 1000
	maxPieceBytes = 256 << 10
)

// pieces finds what is too much for one answer, but not for one list of names: it asks
// which keys there are, and then for them, piece by piece, of servers that have come as
// far as the one which told the names.
func (s *Store) pieces(ctx context.Context, subjects []string, atLeast uint64) (kvstore.Scanned, error) {
	var names, plain []string
	var scanned kvstore.Scanned
	for _, subject := range subjects {
		if !strings.ContainsAny(subject, "*>") {
			plain = append(plain, subject)
			continue
		}
		found, at, err := s.names(ctx, subject)
		if err != nil {
			return kvstore.Scanned{}, err
		}
		if at < atLeast {
			return kvstore.Scanned{}, fmt.Errorf("%w: to %d, not %d", errBehind, at, atLeast)
		}
		names = append(names, found...)
		if scanned.Revision == 0 || at < scanned.Revision {
			scanned.Revision = at
		}
	}
	for {
		piece := names[:fits(names)]
		names = names[len(piece):]
		if len(names) == 0 && len(piece)+len(plain) <= maxPiece {
			piece, plain = append(piece, plain...), nil // these last: they prove whose the rest was
		}
		if err := s.piece(ctx, piece, &scanned); err != nil {
			return kvstore.Scanned{}, err
		}
		if len(names) == 0 {
			if plain == nil {
				return scanned, nil
			}
			names, plain = plain, nil
		}
	}
}

// fits returns how many of subjects are asked for at once.
func fits(subjects []string) int {
	size := 0
	for i, subject := range subjects {
		if size += len(subject) + 3; i == maxPiece || size > maxPieceBytes {
			return i
		}
	}
	return len(subjects)
}

// piece adds the entries of subjects to scanned.
func (s *Store) piece(ctx context.Context, subjects []string, scanned *kvstore.Scanned) error {
	for pause := newBackoff(); ; {
		a, err := s.asker.ask(ctx, question{Last: subjects})
		if err == nil && a.upTo < scanned.Revision {
			err = errBehind
		}
		if err == nil {
			entries, err := s.entries(a)
			scanned.Entries = append(scanned.Entries, entries...)
			return err
		}
		if !errors.Is(err, errBehind) || !pause.wait(ctx) {
			return err
		}
	}
}

// errManyNames means that not all names are told at once.
var errManyNames = errors.New("too many names for one list")

// names returns the subjects that match filter, as the stream's leader knows them when it
// has come to the revision returned beside them.
func (s *Store) names(ctx context.Context, filter string) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	request, err := json.Marshal(map[string]string{"subjects_filter": filter})
	if err != nil {
		return nil, 0, err
	}
	reply, err := s.nc.RequestWithContext(ctx, s.config.api()+"STREAM.INFO."+s.config.stream(), request)
	if err != nil {
		return nil, 0, err
	}
	var response struct {
		Error *jetstream.APIError `json:"error"`
		Total int                 `json:"total"`
		State struct {
			Last     uint64            `json:"last_seq"` // the server looks at it before the subjects
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	if err := json.Unmarshal(reply.Data, &response); err != nil {
		return nil, 0, fmt.Errorf("decode the names: %w", err)
	}
	if response.Error != nil {
		return nil, 0, response.Error
	}
	names := make([]string, 0, len(response.State.Subjects))
	for name := range response.State.Subjects {
		names = append(names, name)
	}
	if response.Total != len(names) {
		return nil, 0, errManyNames
	}
	return names, response.State.Last, nil
}
