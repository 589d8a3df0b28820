package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// ErrDamaged means that a file is not, or not any more, what an export wrote.
var ErrDamaged = errors.New("the backup is damaged")

// ErrNewer means that a file is of a format that this program does not know.
var ErrNewer = errors.New("the backup is of a newer format")

func damaged(number int, format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrDamaged, number, fmt.Sprintf(format, args...))
}

// File is a backup that has been read once, from its first byte to its last, and found
// whole.
type File struct {
	Header

	source io.ReadSeeker
}

// Open reads all of source and returns it as a File, which goes on reading it. ErrDamaged,
// ErrNewer, or an error of source.
func Open(source io.ReadSeeker) (*File, error) {
	f := &File{source: source}
	c := check{keys: "", marks: map[bus.Kind]int{}}
	for l, err := range f.lines(true) {
		if err != nil {
			return nil, err
		}
		if err := c.take(l); err != nil {
			return nil, err
		}
	}
	return f, c.agree(&f.Header)
}

// entry is one line that was read.
type entry struct {
	number       int
	registration *backend.Registration
	mark         *markLine
}

// lines yields every line between the first and the last. With first, the Header is filled
// in and everything is checked; else what has been checked is read again.
func (f *File) lines(first bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if _, err := f.source.Seek(0, io.SeekStart); err != nil {
			yield(entry{}, fmt.Errorf("read the backup: %w", err))
			return
		}
		scanner := bufio.NewScanner(f.source)
		scanner.Buffer(make([]byte, 1<<16), maxLine)
		scanner.Split(wholeLines)
		sum, number, ended := sha256.New(), 0, false
		for scanner.Scan() {
			number++
			text := scanner.Bytes()
			if ended {
				yield(entry{}, damaged(number, "there is something behind the end"))
				return
			}
			e, last, err := f.parse(number, text, first)
			if err == nil && last != nil && (last.Lines != number-1 || last.SHA256 != hex.EncodeToString(sum.Sum(nil))) {
				err = damaged(number, "the checksum is wrong")
			}
			if err != nil {
				yield(entry{}, err)
				return
			}
			ended = last != nil
			sum.Write(text)
			if number > 1 && !ended && !yield(e, nil) {
				return
			}
		}
		switch err := scanner.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(entry{}, damaged(number+1, "it is longer than %d bytes", maxLine))
		case err != nil:
			yield(entry{}, fmt.Errorf("read the backup: %w", err))
		case !ended:
			yield(entry{}, damaged(number, "the end is missing: the file was cut off"))
		}
	}
}

// wholeLines splits lines and keeps their line breaks, of which the last has one too.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (f *File) parse(number int, text []byte, first bool) (e entry, last *end, err error) {
	e.number = number
	if number == 1 {
		if !first {
			return e, nil, nil
		}
		return e, nil, f.parseHeader(text)
	}
	if !bytes.HasSuffix(text, []byte{'\n'}) {
		return e, nil, damaged(number, "the file was cut off")
	}
	// Most lines are registrations, which backend reads several times as fast.
	if rest, ok := bytes.CutPrefix(text, []byte(`{"registration":`)); ok {
		if rest, ok = bytes.CutSuffix(rest, []byte("}\n")); ok {
			r, err := backend.ParseRegistration(rest)
			if err != nil {
				return e, nil, damaged(number, "%v", err)
			}
			e.registration = &r
			return e, nil, nil
		}
	}
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return e, nil, damaged(number, "%v", err)
	}
	switch {
	case l.End != nil:
		return e, l.End, nil
	case l.Mark == nil:
		return e, nil, damaged(number, "it is neither a registration nor a mark")
	}
	if err := l.Mark.Kind.Validate(); err != nil {
		return e, nil, damaged(number, "%v", err)
	}
	if err := l.Mark.Validate(); err != nil {
		return e, nil, damaged(number, "%v", err)
	}
	e.mark = l.Mark
	return e, nil, nil
}

func (f *File) parseHeader(text []byte) error {
	if err := json.Unmarshal(text, &f.Header); err != nil || f.Roost != magic {
		return fmt.Errorf("%w: it does not begin as a backup of a registry does", ErrDamaged)
	}
	if f.Format > Format {
		return fmt.Errorf("%w: %d; this program reads formats up to %d", ErrNewer, f.Format, Format)
	}
	if f.Format < 1 || !bytes.HasSuffix(text, []byte{'\n'}) {
		return damaged(1, "the header is not whole")
	}
	return nil
}

// check is what is known of a file while it is read for the first time.
type check struct {
	keys                     string // the last one
	registrations, permanent int
	marks                    map[bus.Kind]int
	ordered                  bool // the marks have begun
}

func (c *check) take(e entry) error {
	if e.mark != nil {
		c.ordered = true
		c.marks[e.mark.Kind]++
		return nil
	}
	key := e.registration.Key.String()
	if c.ordered || key <= c.keys {
		return damaged(e.number, "%s is not in its place", key)
	}
	c.keys = key
	c.registrations++
	if e.registration.Owner == "" {
		c.permanent++
	}
	return nil
}

// agree compares what was found with what the header says.
func (c *check) agree(h *Header) error {
	if c.registrations != h.Registrations || c.permanent != h.Permanent {
		return fmt.Errorf("%w: it has %d registrations, %d of them permanent, and says %d and %d",
			ErrDamaged, c.registrations, c.permanent, h.Registrations, h.Permanent)
	}
	for _, kind := range bus.Kinds() {
		if c.marks[kind] != h.Marks[kind] {
			return fmt.Errorf("%w: it has %d marks of kind %s and says %d", ErrDamaged, c.marks[kind], kind, h.Marks[kind])
		}
	}
	return nil
}

// permanents yields the registrations that are imported, in the order of their keys.
func (f *File) permanents() iter.Seq2[*backend.Registration, error] {
	return func(yield func(*backend.Registration, error) bool) {
		for e, err := range f.lines(false) {
			if err == nil && (e.registration == nil || e.registration.Owner != "") {
				continue
			}
			if !yield(e.registration, err) || err != nil {
				return
			}
		}
	}
}

// marks yields the marks.
func (f *File) marks() iter.Seq2[*markLine, error] {
	return func(yield func(*markLine, error) bool) {
		for e, err := range f.lines(false) {
			if err == nil && e.mark == nil {
				continue
			}
			if !yield(e.mark, err) || err != nil {
				return
			}
		}
	}
}
