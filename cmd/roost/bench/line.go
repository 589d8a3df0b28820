package bench

import (
	"bytes"
	"slices"
)

// lineOf returns the owners in the record of a lock: its holder and then those who wait, in
// their order.
func lineOf(record []byte) (line []string) {
	mark := []byte(`"owner":"`)
	for {
		_, rest, ok := bytes.Cut(record, mark)
		if !ok {
			return line
		}
		owner, rest, _ := bytes.Cut(rest, []byte(`"`))
		line, record = append(line, string(owner)), rest
	}
}

// follows reports whether one change can have made a line into another one without anybody
// being overtaken: one may have left at the front, and others have come behind.
func follows(line, next []string) bool {
	stayed := line
	if len(line) > 0 && (len(next) == 0 || next[0] != line[0]) {
		stayed = line[1:]
	}
	return len(next) >= len(stayed) && slices.Equal(next[:len(stayed)], stayed)
}
