package backup

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/roostbus/roost/backend"
)

// spool is a temporary file with registrations, one a line: the key, whether it is
// permanent, and the JSON text. None of the three has a tab or a line break in it.
type spool struct {
	file *os.File
	out  *bufio.Writer
	at   int64 // where the next line begins
	buf  []byte
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "roost-export-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	return &spool{file: f, out: bufio.NewWriterSize(f, 1<<16)}, nil
}

// remove ends the spool.
func (s *spool) remove() {
	_ = s.file.Close() // nothing of it is needed any more
	_ = os.Remove(s.file.Name())
}

const (
	permanent = 'p'
	leased    = 'l'
)

// add appends r and returns where it begins.
func (s *spool) add(key string, r *backend.Registration) (int64, error) {
	kind := byte(permanent)
	if r.Owner != "" {
		kind = leased
	}
	s.buf = append(append(s.buf[:0], key...), '\t', kind, '\t')
	s.buf = append(r.AppendJSON(s.buf), '\n')
	at := s.at
	s.at += int64(len(s.buf))
	_, err := s.out.Write(s.buf)
	return at, err
}

// stored is one line of a spool. Its bytes hold until the next one is read.
type stored struct {
	key       []byte
	permanent bool
	text      []byte
}

func cutStored(text []byte) stored {
	key, rest, _ := bytes.Cut(text, []byte{'\t'})
	return stored{key: key, permanent: rest[0] == permanent, text: bytes.TrimSuffix(rest[2:], []byte{'\n'})}
}

// all yields every line in the order in which they were added.
func (s *spool) all() iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		err := s.out.Flush()
		if err == nil {
			_, err = s.file.Seek(0, io.SeekStart)
		}
		scanner := bufio.NewScanner(s.file)
		scanner.Buffer(make([]byte, 1<<16), maxLine)
		for err == nil && scanner.Scan() {
			if !yield(cutStored(scanner.Bytes()), nil) {
				return
			}
		}
		if err == nil {
			err = scanner.Err()
		}
		if err != nil {
			yield(stored{}, fmt.Errorf("read a temporary file: %w", err))
		}
	}
}

// read returns the line that begins at a place. Everything must have been flushed.
func (s *spool) read(at int64, size int) (stored, error) {
	text := make([]byte, size)
	if _, err := s.file.ReadAt(text, at); err != nil {
		return stored{}, fmt.Errorf("read a temporary file: %w", err)
	}
	return cutStored(text), nil
}
