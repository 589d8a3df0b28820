package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Format is the version of files that this package writes. It reads this one and those
// before it.
const Format = 1

// magic is what tells a backup from other JSON.
const magic = "backup"

// maxLine is the greatest size of a line: that of a record with room to spare.
const maxLine = 4 << 20

// Header is the first line of a file.
type Header struct {
	Roost  string    `json:"roost"` // always "backup"
	Format int       `json:"format"`
	Time   time.Time `json:"time"`
	// Epoch and Revision are what the registrations are exactly as of.
	Epoch    backend.Epoch    `json:"epoch"`
	Revision backend.Revision `json:"revision"`
	// Registrations counts all, Permanent those without a lease, which are imported.
	Registrations int              `json:"registrations"`
	Permanent     int              `json:"permanent"`
	Marks         map[bus.Kind]int `json:"marks"`
}

// markLine is one mark.
type markLine struct {
	Kind bus.Kind `json:"kind"`
	bus.Mark
}

// line is any line but the first. One of its members is there.
type line struct {
	Registration json.RawMessage `json:"registration,omitempty"`
	Mark         *markLine       `json:"mark,omitempty"`
	End          *end            `json:"end,omitempty"`
}

// end is the last line.
type end struct {
	Lines  int    `json:"lines"`  // before this one
	SHA256 string `json:"sha256"` // of every byte before this line
}

// writer writes a file.
type writer struct {
	out   *bufio.Writer
	sum   hash.Hash
	lines int
	err   error
}

func newWriter(w io.Writer) *writer {
	return &writer{out: bufio.NewWriterSize(w, 1<<16), sum: sha256.New()}
}

// raw writes one line, which has no line break.
func (w *writer) raw(parts ...[]byte) {
	for _, p := range append(parts, []byte{'\n'}) {
		if w.err == nil {
			w.sum.Write(p)
			_, w.err = w.out.Write(p)
		}
	}
	w.lines++
}

// json writes v as one line.
func (w *writer) json(v any) {
	text, err := marshal(v)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.raw(text)
}

// finish writes the last line.
func (w *writer) finish() error {
	w.json(line{End: &end{Lines: w.lines, SHA256: hex.EncodeToString(w.sum.Sum(nil))}})
	if w.err != nil {
		return fmt.Errorf("write the backup: %w", w.err)
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// marshal is json.Marshal without the escapes that only HTML wants.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a line of the backup: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
