package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// spoolMarks puts all marks into a temporary file, one a line, and counts them in h. They
// are as of h.Revision or newer: they only grow, and one that is too high does no harm.
func spoolMarks(ctx context.Context, office Office, h *Header, dir string) (_ *os.File, err error) {
	f, err := os.CreateTemp(dir, "roost-export-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	out := bufio.NewWriter(f)
	read := backend.Read{Consistency: backend.Linearizable, MinRevision: h.Revision, Epoch: h.Epoch}
	for _, kind := range bus.Kinds() {
		for after := ""; ; {
			page, stamp, err := office.Marks(ctx, kind, after, read)
			if errors.Is(err, backend.ErrCompacted) || err == nil && stamp.Epoch != h.Epoch {
				return f, errMoved
			}
			if err != nil {
				return f, fmt.Errorf("read the marks of kind %s: %w", kind, err)
			}
			for _, m := range page.Marks {
				text, err := marshal(line{Mark: &markLine{Kind: kind, Mark: m}})
				if err != nil {
					return f, err
				}
				if _, err := out.Write(append(text, '\n')); err != nil {
					return f, fmt.Errorf("write a temporary file: %w", err)
				}
				h.Marks[kind]++
			}
			if after = page.Next; after == "" {
				break
			}
		}
	}
	return f, out.Flush()
}

// copyLines writes every line of f.
func copyLines(w *writer, f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read a temporary file: %w", err)
	}
	scanner := bufio.NewScanner(f)
	scanner.Buffer(make([]byte, 1<<16), maxLine)
	for scanner.Scan() {
		w.raw(bytes.Clone(scanner.Bytes()))
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read a temporary file: %w", err)
	}
	return nil
}
